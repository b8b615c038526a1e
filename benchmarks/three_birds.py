"""R-C3D: what its vectorised parts save, and what a clip of THUMOS'14 costs.

Run ``python benchmarks/three_birds.py parts``: pooling of 640 regions and targets of the release's 1,792 anchors beside
loops over regions and anchors, in the same run, on the same numbers.

Run ``python benchmarks/three_birds.py clip [--recompute] [--precision bfloat16] [--frames 768] [--side 112] [--tasks]
[--device cuda]``: seconds and bytes of one clip forward and backward, and which part takes how long, the tasks of Three
Birds included where ``--tasks`` is given. Memory: peak of the process above what it held before the step (on a GPU: of
the allocator).

Run ``python benchmarks/three_birds.py memory [--frames 768] [--side 112]``: such a clip in float32 and bfloat16, kept
and recomputed, each in a process of its own; on the CPU, and on a GPU where there is one.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.aux_tasks.lce.config import Config as Lce
from trainables.aux_tasks.mac.config import Config as Mac
from trainables.aux_tasks.refine.config import Config as Refine
from trainables.contracts import TaskBase
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
    """Seconds of modules and functions before the backward pass; what one calls of the others is theirs."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._of_others = [0.0]

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any, **kwargs: Any) -> Any:
            self._of_others.append(0.0)
            result, spent = clocked(lambda: function(*args, **kwargs), self._device)
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._of_others.pop()
            self._of_others[-1] += spent
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


def held_bytes(device: str) -> int:
    """Bytes held now, from which on the peak counts; on the CPU of the process (Linux), on a GPU of the allocator."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return _process_bytes("VmRSS")


def peak_bytes(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else _process_bytes("VmHWM")


def _process_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


class Cost(NamedTuple):
    """Of one step; ``shares``: of the forward pass and the losses, by part."""

    forward_s: float
    losses_s: float
    backward_s: float
    held_bytes: int
    extra_bytes: int
    shares: dict[str, float]


def attached(model: Any, device: str) -> dict[str, TaskBase]:
    """The three tasks, as the paper has them."""
    configs: dict[str, Any] = {"lce": Lce(), "mac": Mac(), "refine": Refine()}
    tasks = {n: c.build(host=model, feat_channels=0, num_classes=20).to(device).train() for n, c in configs.items()}
    tasks["refine"].meet(tasks)
    return tasks


def measure(
    frames: int, side: int, recompute: bool, precision: Any, device: str, threads: int, with_tasks: bool = False
) -> Cost:
    """One clip forward and backward; a first short one has chosen the kernels."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = Config(backbone=Backbone(recompute=recompute, precision=precision), window=Window(length=frames))
    model = config.build(feat_dim=3, num_classes=20).to(device).train()
    (phase,) = config.phases()
    tasks = attached(model, device) if with_tasks else {}
    weights = dict(phase.loss_weights) | {"mac": 1.0, "lce": 0.7, "refine": 1.0}

    def all_losses(outputs: Any, batch: Batch) -> dict[str, Tensor]:
        terms = dict(model.losses(outputs, batch, tuple(phase.loss_weights)))
        for task in tasks.values():
            terms |= task.losses(outputs, batch)
        return terms

    def step(batch: Batch) -> tuple[int, float, float, float]:
        """Bytes held before, and seconds of the forward pass, the losses and the backward pass."""
        for module in (model, *tasks.values()):
            module.zero_grad()
        held = held_bytes(device)
        outputs, forward = clocked(lambda: model(batch), device)
        terms, losses = clocked(lambda: all_losses(outputs, batch), device)
        total = sum(weights.get(name, 0.0) * value for name, value in terms.items())
        return held, forward, losses, clocked(total.backward, device)[1]

    watch = Stopwatch(device)
    for name, owner, attribute in (
        ("backbone", model.backbone, "forward"),
        ("proposal subnet", model.rpn, "forward"),
        ("proposals", model, "_propose"),
        ("sampled regions", model, "_sample"),
        ("pooling", model, "_pool"),
        ("trunk", model.trunk, "forward"),
        ("heads", model.heads, "forward"),
        ("own losses", model, "losses"),
        *((f"task {name}", task, "losses") for name, task in tasks.items()),
    ):
        setattr(owner, attribute, watch.wrap(name, getattr(owner, attribute)))
    step(random_clip(32, side, device))
    watch.seconds.clear()
    held, forward, losses, backward = step(random_clip(frames, side, device))
    shares = {name: seconds / (forward + losses) for name, seconds in watch.seconds.items()}
    return Cost(forward, losses, backward, held, peak_bytes(device) - held, shares)


def random_clip(frames: int, side: int, device: str) -> Batch:
    return Batch(
        video_ids=("a",),
        valid_mask=torch.ones(1, frames, dtype=torch.bool),
        seconds_per_sample=torch.full((1,), 0.04).double(),
        start_s=torch.zeros(1).double(),
        frames=torch.randint(0, 256, (1, 3, frames, side, side), dtype=torch.uint8),
        segments=(SegmentTargets(torch.tensor([[0.1, 0.4], [0.3, 0.6]]) * frames, torch.tensor([3, 7])),),
    ).to(device)


def clip(frames: int, side: int, recompute: bool, precision: Any, device: str, threads: int, with_tasks: bool) -> None:
    cost = measure(frames, side, recompute, precision, device, threads, with_tasks)
    print(
        f"{frames} frames of {side} x {side}, {precision}, recompute {recompute}, tasks {with_tasks}, {device}: "
        f"forward {cost.forward_s:.2f} s, losses {cost.losses_s:.3f} s, backward {cost.backward_s:.2f} s; "
        f"{cost.extra_bytes / 2**30:.2f} GiB above {cost.held_bytes / 2**30:.2f} GiB"
    )
    print("  forward and losses: " + ", ".join(f"{name} {100 * share:.2f} %" for name, share in cost.shares.items()))


def memory(frames: int, side: int, threads: int) -> None:
    """The four ways, as times of the first one; a process each, so that none finds memory that another has freed."""
    spawn = multiprocessing.get_context("spawn")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {threads} threads"
        print(f"{frames} frames of {side} x {side}, {where}, torch {torch.__version__}")
        first: Cost | None = None
        for recompute in (False, True):
            for precision in ("float32", "bfloat16"):
                with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                    cost = pool.submit(measure, frames, side, recompute, precision, device, threads).result()
                first = first or cost
                seconds, whole = cost.forward_s + cost.backward_s, first.forward_s + first.backward_s
                print(
                    f"  {precision}, {'recomputed' if recompute else 'kept'}: forward {cost.forward_s:.2f} s, backward "
                    f"{cost.backward_s:.2f} s, {seconds / whole:.2f} times; {cost.extra_bytes / 2**30:.2f} GiB, "
                    f"{cost.extra_bytes / first.extra_bytes:.2f} times"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("parts", "clip", "memory"))
    parser.add_argument("--frames", type=int, default=768)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--tasks", action="store_true")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "parts":
        parts()
    elif args.what == "memory":
        memory(args.frames, args.side, args.threads)
    else:
        clip(args.frames, args.side, args.recompute, args.precision, args.device, args.threads, args.tasks)


if __name__ == "__main__":
    main()
