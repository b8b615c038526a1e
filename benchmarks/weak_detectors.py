"""Throughput of the weakly supervised detectors at the papers' scale, and where the time goes.

Run ``python benchmarks/weak_detectors.py [--device cuda]``: batches of 16 videos, T = 512 samples (for detectors that
read every snippet: 400 to 700), D = 2048 channels, K = 20 classes. Training: loading (the store's loader alone) and
network (forward, losses, backward, step). Inference of whole videos: loading, network, raw outputs to the CPU,
selection and suppression, matching with scoring. Shares are of the sum of the parts, each measured in its second pass.
On a CPU all times are CPU seconds, which other work on the machine does not change much; on a GPU wall-clock seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainables.contracts import as_module
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.clean_net.config import Config as CleanNet
from trainables.detectors.kt_mgfn.config import Config as KtMgfn
from trainables.detectors.kt_mgfn.config import Ktm
from trainables.detectors.untrimmed_net.config import Config as UntrimmedNet
from trainables.entrypoints.optimizer import make_optimizer
from trainables.entrypoints.raw_outputs import collect_raw
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.records import Batch

DETECTORS: dict[str, Callable[[], Any]] = {
    "kt_mgfn": lambda: KtMgfn(ktm=Ktm(enabled=False)),
    "clean_net": CleanNet,
    "untrimmed_net": UntrimmedNet,
}

#: Factor of the initial weights of snippet classifiers: without it no class passes a threshold before training, and
#: selection, suppression and matching would have nothing to do.
DECIDED = 100.0


def seconds(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    if device == "cpu":
        start = time.process_time()
        result = work()
        return result, time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return result, time.perf_counter() - start


def again(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    """The second of two passes: the first one meets memory that nobody has touched."""
    work()
    return seconds(work, device)


def measure(name: str, dataset: Any, batch_size: int, device: str) -> None:
    config = DETECTORS[name]()
    torch.manual_seed(0)
    model = config.build(feat_dim=dataset.feat_dim, num_classes=len(dataset.class_names))
    module = as_module(model).to(device)
    if hasattr(model, "heads"):
        with torch.no_grad():
            model.heads.classifier.weight.mul_(DECIDED)
    phase = [p for p in config.phases() if p.epochs][-1]
    optimizer = make_optimizer(nn.ModuleDict({"detector": module}), phase)

    def inputs(epoch: int | None) -> list[Batch]:
        split = "test" if epoch is None else "train"
        batches = dataset.batches(
            split,
            sampling=config.sampling(),
            batch_size=batch_size,
            supervision=config.supervision if epoch is not None else "none",
            seed=0,
            epoch=epoch,
        )
        return [batch.to(device) for batch in batches]

    def step(batch: Batch) -> None:
        terms = model.losses(model(batch), batch, tuple(phase.loss_weights))
        total = sum(phase.loss_weights[n] * value for n, value in terms.items())
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()

    weights = {key: value.clone() for key, value in module.state_dict().items()}
    module.train()
    loaded, loading = again(lambda: inputs(0), device)
    step(loaded[0])  # warm
    _, network = seconds(lambda: [step(batch) for batch in loaded], device)
    report(f"{name}, training: {len(loaded) / (loading + network):.2f} steps/s", loading=loading, network=network)

    module.load_state_dict(weights)
    module.eval()
    durations = dataset.durations_s()
    with torch.no_grad():
        loaded, loading = again(lambda: inputs(None), device)
        model(loaded[0])  # warm
        outputs, network = seconds(lambda: [model(batch) for batch in loaded], device)
    both = list(zip(outputs, loaded, strict=True))
    raw, moving = again(lambda: [item for o, batch in both for item in collect_raw(o, batch, durations)], device)
    found, selecting = again(lambda: model.detect(raw, config), device)
    truth, protocol = dataset.ground_truth("test"), ActivityNet()
    _, matching = again(lambda: protocol.score(protocol.match(found, truth)), device)
    whole = loading + network + moving + selecting + matching
    report(
        f"{name}, inference: {len(raw) / whole:.1f} videos/s, {len(found.scores) / len(raw):.0f} detections a video",
        loading=loading,
        network=network,
        raw_outputs=moving,
        selection_and_suppression=selecting,
        matching=matching,
    )


def report(what: str, **times: float) -> None:
    whole = sum(times.values())
    shares = (f"{name.replace('_', ' ')} {100 * value / whole:.1f} %" for name, value in times.items())
    print(f"{what}; {', '.join(shares)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--videos", type=int, default=128)
    parser.add_argument("--detectors", nargs="*", default=list(DETECTORS), choices=list(DETECTORS))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = Synthetic(
        num_videos=args.videos, num_classes=20, feat_dim=2048, num_snippets=(400, 700), actions_per_video=(4, 16),
        select_fraction=0.25, test_fraction=0.25, trimmed_per_class=0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        data.prepare(Path(folder))
        dataset = data.open(Path(folder))
        for name in args.detectors:
            measure(name, dataset, 16, args.device)


if __name__ == "__main__":
    main()
