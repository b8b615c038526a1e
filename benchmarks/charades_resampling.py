"""The bootstrap of Charades' 25 points beside the running sums of detection mAP, on as many videos and classes.

Prints seconds per resample of both on the same matches, their ratio, and the largest difference of their AP. Run it as
`python benchmarks/charades_resampling.py`; generated scores, dense: no point shares its score with another one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from trainables.detections import FloatArray, FrameScores, GroundTruth
from trainables.evaluation.charades.official import FrameMapCharades25
from trainables.evaluation.frames.scores import TimedTruth
from trainables.evaluation.precision.average_precision import class_ap
from trainables.evaluation.precision.item_precision import item_ap
from trainables.evaluation.precision.matches import Matches

#: Charades' test videos, its classes, and annotated segments of a video.
NUM_VIDEOS, NUM_CLASSES, SEGMENTS = 1863, 157, 7


def generated(seed: int) -> Matches:
    rng = np.random.default_rng(seed)
    ids = tuple(f"v{v:04d}" for v in range(NUM_VIDEOS))
    number = NUM_VIDEOS * SEGMENTS
    start = rng.uniform(0, 25, number)
    labels = rng.integers(0, NUM_CLASSES, number)
    labels[:NUM_CLASSES] = np.arange(NUM_CLASSES)
    segments = np.stack([start, start + rng.uniform(3, 15, number)], axis=1)
    truth = GroundTruth(
        ids, tuple(f"c{k}" for k in range(NUM_CLASSES)), np.sort(rng.integers(0, NUM_VIDEOS, number)), segments, labels
    )
    scores = FrameScores(ids, np.arange(NUM_VIDEOS + 1) * 25, rng.random((NUM_VIDEOS * 25, NUM_CLASSES)))
    return FrameMapCharades25().match(scores, TimedTruth(truth, np.full(NUM_VIDEOS, 30.0)))


def seconds_each(
    compute: Callable[[FloatArray], list[FloatArray]], weights: FloatArray
) -> tuple[float, list[FloatArray]]:
    begin = time.process_time()
    found = compute(weights)
    return (time.process_time() - begin) / len(weights), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    options = parser.parse_args()
    matches = generated(0)
    rng = np.random.default_rng(1)
    share = np.full(NUM_VIDEOS, 1 / NUM_VIDEOS)
    weights = rng.multinomial(NUM_VIDEOS, share, size=256).astype(np.float64)
    rules = ("plain", "normalised")
    old, new, worst = [], [], 0.0
    for _ in range(options.rounds):
        seconds, expected = seconds_each(lambda w: [class_ap(matches, w, r)[:, :, 0] for r in rules], weights[:16])
        old.append(seconds)
        seconds, found = seconds_each(lambda w: item_ap(matches, w, rules), weights)
        new.append(seconds)
        worst = max(worst, *(float(np.abs(a[:16] - b).max()) for a, b in zip(found, expected, strict=True)))
    before, after = float(np.median(old)), float(np.median(new))
    print(f"{NUM_VIDEOS} videos, {NUM_CLASSES} classes, {len(matches.score)} scored items, CPU seconds")
    print(f"running sums (class_ap): {before:.4f} a resample")
    print(f"sparse counts (item_ap): {after:.4f} a resample, {1000 * after:.0f} for 1,000")
    print(f"{before / after:.1f} times as fast")
    print(f"largest difference of an AP: {worst:.1e}")


if __name__ == "__main__":
    main()
