"""CPU seconds of suppression: many videos at once, beside a compiled textbook loop that is called for one at a time.

Run ``python benchmarks/post_processing.py``; needs g++. Both run in this process on one thread, in single precision,
and take and give tensors; the baseline (soft_nms_one_video.cpp) is compiled with ``-O3`` first. Times alternate, the
best of each counts. Results are compared row by row.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from trainables.layers.nms import suppress

T = TypeVar("T")

MIN_SCORE = 1e-3
#: number in the baseline, our rule
RULES: dict[str, tuple[int, dict[str, Any]]] = {
    "gaussian": (2, {"decay": "gaussian", "sigma": 0.5}),
    "linear": (1, {"decay": "linear", "tiou_threshold": 0.5}),
    "hard": (0, {"decay": "hard", "tiou_threshold": 0.5}),
    "truncated": (3, {"decay": "truncated_gaussian", "tiou_threshold": 0.5, "sigma": 0.75}),
    "thresholded": (
        3,
        {"decay": "truncated_gaussian", "tiou_threshold": 0.3, "threshold_slope": 0.005, "sigma": 0.75},
    ),
}
#: neighbours in score closer than this may come in either order, and then weaken each other otherwise
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Candidates:
    """Candidates of groups, one group after another: (N, 2) segments, (N,) scores, size of each group."""

    segments: Tensor
    scores: Tensor
    sizes: list[int]


def make_candidates(sizes: list[int], *, seed: int, video_s: float = 200.0) -> Candidates:
    """Centres anywhere in a video, lengths from 1 s to 60 s, uniform in their logarithm; scores uniform.

    A candidate overlaps about one in seven of the others.
    """
    generator = torch.Generator().manual_seed(seed)
    centre, length, scores = torch.rand(3, sum(sizes), generator=generator)
    half = 0.5 * 60.0**length
    ends = torch.stack([centre * video_s - half, centre * video_s + half], dim=1).clamp(0.0, video_s)
    return Candidates(ends, scores, sizes)


def compiled(folder: Path) -> Any:
    source = Path(__file__).with_name("soft_nms_one_video.cpp")
    library = folder / "soft_nms_one_video.so"
    subprocess.run(["g++", "-O3", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).soft_nms_one_video
    pointer, number = ctypes.c_void_p, ctypes.c_float
    function.argtypes = [pointer, pointer, ctypes.c_int, ctypes.c_int, number, number, number, number, pointer, pointer]
    return function


def one_by_one(
    function: Any, given: Candidates, kind: int, rule: dict[str, Any], max_num: int
) -> tuple[Tensor, Tensor]:
    """The baseline over all groups; rows and scores as :func:`suppress` gives them."""
    threshold, slope, sigma = (rule.get(name, 1.0) for name in ("tiou_threshold", "threshold_slope", "sigma"))
    kept, values, first = [], [], 0
    for segments, scores in zip(*(torch.split(t, given.sizes) for t in (given.segments, given.scores)), strict=True):
        rows, final = torch.empty(len(scores), dtype=torch.int32), torch.empty(len(scores))
        num = function(
            segments.data_ptr(), scores.data_ptr(), len(scores), kind, threshold,
            slope if "threshold_slope" in rule else 0.0, sigma, MIN_SCORE, rows.data_ptr(), final.data_ptr(),
        )  # fmt: skip
        num = min(num, max_num)
        kept.append(rows[:num] + first)
        values.append(final[:num])
        first += len(scores)
    return torch.cat(kept), torch.cat(values)


def all_at_once(given: Candidates, rule: dict[str, Any], max_num: int) -> tuple[Tensor, Tensor]:
    group = torch.repeat_interleave(torch.arange(len(given.sizes)), torch.tensor(given.sizes))
    return suppress(given.segments, given.scores, group, **rule, min_score=MIN_SCORE, max_num=max_num)


def best_times(one: Callable[[], T], other: Callable[[], T], repeats: int) -> tuple[T, T, float, float]:
    """Results and least CPU seconds of two ways, taken in turn."""
    least = [float("inf"), float("inf")]
    for _ in range(repeats):
        start = time.process_time()
        first = one()
        between = time.process_time()
        second = other()
        end = time.process_time()
        least = [min(least[0], between - start), min(least[1], end - between)]
    return first, second, least[0], least[1]


def num_different(num_rows: int, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> int:
    """Rows that only one kept, or with another score."""
    scores = torch.zeros(2, num_rows)
    for k, (rows, final) in enumerate((one, other)):
        scores[k, rows.long()] = final
    return int(((scores[0] - scores[1]).abs() > TOLERANCE * scores.amax(dim=0)).sum())


def measure(function: Any, name: str, sizes: list[int], rule_name: str, max_num: int, repeats: int) -> None:
    kind, rule = RULES[rule_name]
    given = make_candidates(sizes, seed=len(sizes))
    base, ours, base_s, ours_s = best_times(
        lambda: one_by_one(function, given, kind, rule, max_num), lambda: all_at_once(given, rule, max_num), repeats
    )
    num = len(sizes)
    different = num_different(len(given.scores), base, ours)
    print(
        f"{name:<22} {num:>6} {rule_name:<12} {base_s / num * 1e3:>9.4f} {ours_s / num * 1e3:>9.4f} "
        f"{base_s / ours_s:>6.1f} {len(ours[0]):>8} {different:>8}",
        flush=True,
    )
    if different > 1e-3 * len(ours[0]):
        raise RuntimeError(f"{name}, {rule_name}: {different} of {len(ours[0])} kept rows differ from the baseline's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="times of each; the least counts")
    parser.add_argument("--rows", type=int, default=260_000, help="candidates of each case, all groups together")
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    print(
        f"{'candidates':<22} {'groups':>6} {'decay':<12} {'base ms':>9} {'ours ms':>9} {'ratio':>6} {'kept':>8} differ"
    )
    with tempfile.TemporaryDirectory() as folder:
        function = compiled(Path(folder))
        for size in (100, 1000, 2000):
            for rule_name in RULES:
                measure(function, str(size), [size] * (args.rows // size), rule_name, 100, args.repeats)
        ragged = torch.randint(1, 2000, (args.rows // 1000,), generator=generator).tolist()
        measure(function, "1 to 2000", ragged, "gaussian", 100, args.repeats)
        # a video of 800 detections over 20 classes, as unevenly as classes are
        share = torch.rand(args.rows // 800, 20, generator=generator) ** 3
        class_wise = (800 * share / share.sum(dim=1, keepdim=True)).ceil().int().flatten().tolist()
        measure(function, "20 classes of 800", class_wise, "gaussian", 200, args.repeats)
        measure(function, "1000, one video alone", [1000], "gaussian", 100, args.repeats)


if __name__ == "__main__":
    main()
