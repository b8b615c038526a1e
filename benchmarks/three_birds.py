"""R-C3D: what its vectorised parts save, and what a clip of THUMOS'14 costs.

Run ``python benchmarks/three_birds.py parts``: pooling of 640 regions and targets of the release's 1,792 anchors beside
loops over regions and anchors, in the same run, on the same numbers.

Run ``python benchmarks/three_birds.py clip [--recompute] [--precision bfloat16] [--frames 768] [--side 112]
[--device cuda]``: seconds and bytes of one clip forward and backward, and which part takes how long. Memory: peak of
the process above what it held before the step (on a GPU: of the allocator).
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.detectors.r_c3d.anchors import inside, make_anchors
from trainables.detectors.r_c3d.matching import PaddedTargets
from trainables.detectors.r_c3d.presets import ANCHOR_SCALES
from trainables.detectors.r_c3d.settings import Window
from trainables.detectors.r_c3d.targets import AnchorTargets, anchor_targets
from trainables.detectors.r_c3d_frames.config import Backbone, Config
from trainables.layers.soi_pool import segment_cells, soi_pool
from trainables.records import Batch, SegmentTargets

CPU = torch.device("cpu")


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Median of CPU seconds, which other processes disturb less than wall time."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def pooling(
    channels: int, side: int, bins: tuple[int, int, int], num_regions: int, backward: bool
) -> tuple[float, float]:
    """Seconds of the loop and of ``soi_pool``."""
    torch.manual_seed(0)
    shared = torch.randn(1, channels, 96, side, side, requires_grad=backward)
    ends = (torch.rand(num_regions, 2) * 768).sort(dim=1).values
    segments = torch.cat([torch.zeros(num_regions, 1), ends], dim=1)
    first, last = segment_cells(ends, samples_per_cell=8, num_cells=96)
    cells = list(zip(first.tolist(), last.tolist(), strict=True))

    def loop() -> Tensor:
        return torch.stack([F.adaptive_max_pool3d(shared[0, :, a : b + 1], bins) for a, b in cells])

    def ours() -> Tensor:
        return soi_pool(shared, segments, samples_per_cell=8, bins=bins)

    expected, found = loop(), ours()
    assert torch.equal(expected, found)
    if not backward:
        return timed(loop, 5), timed(ours, 5)
    given = torch.randn(found.shape)
    (mine,) = torch.autograd.grad(found, shared, given)
    (reference,) = torch.autograd.grad(expected, shared, given)
    torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)
    return timed(lambda: loop().backward(given), 3), timed(lambda: ours().backward(given), 9)


Target = tuple[bool, bool, float, float]


def target_loop(anchors: list[list[float]], segments: list[list[float]], length: float) -> list[Target]:
    """Positive, negative, dc and dl of every anchor, one pair after another."""

    def tiou(a: list[float], b: list[float]) -> float:
        inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
        return inter / (a[1] - a[0] + b[1] - b[0] - inter)

    usable = [a[0] >= 0 and a[1] <= length for a in anchors]
    rows = [[tiou(a, s) if use else 0.0 for s in segments] for a, use in zip(anchors, usable, strict=True)]
    best = [max(row[g] for row in rows) for g in range(len(segments))]
    found: list[Target] = []
    for anchor, row, use in zip(anchors, rows, usable, strict=True):
        top = max(row)
        is_best = any(v > 0 and v >= b - 1e-9 for v, b in zip(row, best, strict=True))
        positive = use and (top >= 0.7 or is_best)
        (a, b), (s, e) = anchor, segments[row.index(top)] if positive else anchor
        shift, scale = (s + e - a - b) / 2 / (b - a), math.log((e - s) / (b - a))
        found.append((positive, use and not positive and top < 0.3, shift, scale))
    return found


def targets(num_inputs: int, num_segments: int) -> tuple[float, float, int]:
    """Seconds of the loop and of ``anchor_targets``, and the number of anchors inside a clip."""
    torch.manual_seed(0)
    anchors = make_anchors(ANCHOR_SCALES["thumos14_release"], 64, samples_per_cell=8, inclusive=False, device=CPU)
    lengths = torch.full((num_inputs,), 512)
    starts = torch.rand(num_inputs, num_segments, 1) * 400
    segments = torch.cat([starts, starts + 16 + torch.rand(num_inputs, num_segments, 1) * 90], dim=2)
    padded = PaddedTargets.of([SegmentTargets(s, torch.zeros(num_segments).long()) for s in segments], CPU)

    def loop() -> list[list[Target]]:
        return [target_loop(anchors.tolist(), s.double().tolist(), 512.0) for s in segments]

    def ours() -> AnchorTargets:
        return anchor_targets(anchors, padded, lengths, pos_tiou=0.7, neg_tiou=0.3, inclusive=False)

    expected, found = torch.tensor(loop(), dtype=torch.float64), ours()
    assert torch.equal(torch.stack([found.positive, found.negative], dim=2).double(), expected[..., :2])
    torch.testing.assert_close(found.offsets, expected[..., 2:])
    return timed(loop, 3), timed(ours, 9), int(inside(anchors, lengths[:1], inclusive=False).sum())


def parts() -> None:
    for name, channels, side, bins in (("features", 1024, 1, (4, 1, 1)), ("C3D", 512, 7, (1, 4, 4))):
        for backward in (False, True):
            loop, ours = pooling(channels, side, bins, 640, backward)
            way = "forward and backward" if backward else "forward"
            print(
                f"pooling of 640 regions, {name}, {way}: loop {loop:.4f} s, ours {ours:.4f} s, {loop / ours:.1f} times"
            )
    for num_inputs, num_segments in ((1, 8), (8, 20)):
        loop, ours, number = targets(num_inputs, num_segments)
        print(
            f"targets of 1,792 anchors ({number} inside), {num_inputs} x {num_segments} segments: loop {loop:.4f} s, "
            f"ours {ours:.5f} s, {loop / ours:.0f} times"
        )


class Stopwatch:
    """Seconds of modules and functions in the forward pass."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any, **kwargs: Any) -> Any:
            result, spent = clocked(lambda: function(*args, **kwargs), self._device)
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            return result

        return measured


def clocked(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    """Wall seconds on a GPU, CPU seconds of the process elsewhere."""
    if device == "cuda":
        torch.cuda.synchronize()
    clock = time.perf_counter if device == "cuda" else time.process_time
    start = clock()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return result, clock() - start


def peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def clip(frames: int, side: int, recompute: bool, precision: Any, device: str) -> None:
    torch.manual_seed(0)
    config = Config(backbone=Backbone(recompute=recompute, precision=precision), window=Window(length=frames))
    model = config.build(feat_dim=3, num_classes=20).to(device).train()
    batch = Batch(
        video_ids=("a",),
        valid_mask=torch.ones(1, frames, dtype=torch.bool),
        seconds_per_sample=torch.full((1,), 0.04).double(),
        start_s=torch.zeros(1).double(),
        frames=torch.randint(0, 256, (1, 3, frames, side, side), dtype=torch.uint8),
        segments=(SegmentTargets(torch.tensor([[40.0, 130.0], [100.0, 180.0]]), torch.tensor([3, 7])),),
    ).to(device)
    watch = Stopwatch(device)
    for name, owner, attribute in (
        ("backbone", model.backbone, "forward"),
        ("proposal subnet", model.rpn, "forward"),
        ("proposals", model, "_propose"),
        ("sampled regions", model, "_sample"),
        ("pooling", model, "_pool"),
        ("trunk", model.trunk, "forward"),
        ("heads", model.heads, "forward"),
    ):
        setattr(owner, attribute, watch.wrap(name, getattr(owner, attribute)))
    (phase,) = config.phases()
    held = peak_bytes(device)
    outputs, forward = clocked(lambda: model(batch), device)
    terms, losses = clocked(lambda: model.losses(outputs, batch, tuple(phase.loss_weights)), device)
    _, backward = clocked(lambda: sum(phase.loss_weights[n] * v for n, v in terms.items()).backward(), device)
    extra = peak_bytes(device) - held
    print(
        f"{frames} frames of {side} x {side}, {precision}, recompute {recompute}, {device}: forward {forward:.2f} s, "
        f"losses {losses:.3f} s, backward {backward:.2f} s; {extra / 2**30:.2f} GiB above {held / 2**30:.2f} GiB"
    )
    print("  forward: " + ", ".join(f"{n} {100 * s / forward:.2f} %" for n, s in watch.seconds.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("parts", "clip"))
    parser.add_argument("--frames", type=int, default=768)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "parts":
        parts()
    else:
        clip(args.frames, args.side, args.recompute, args.precision, args.device)


if __name__ == "__main__":
    main()
