"""CPU seconds of detection mAP: from arrays and from JSON at ActivityNet-1.3 size, resampling at THUMOS'14 size.

Run ``python benchmarks/evaluation.py``. The textbook loop (one detection at a time, as the public evaluators do) runs
on a part of the classes in the same process; its time is scaled by the number of detections.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.evaluation.detection.protocols import ActivityNet, Thumos14Official
from trainables.evaluation.files.activitynet_json import write_activitynet_json
from trainables.evaluation.files.detections import read_detections
from trainables.segments import tiou_matrix

T = TypeVar("T")


def cpu_seconds(work: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def spread(rng: np.random.Generator, centre: FloatArray, share: float) -> FloatArray:
    """(N, 2) segments around others: ends moved by a share of the length."""
    length = centre[:, 1] - centre[:, 0]
    moved = centre + rng.normal(size=centre.shape) * (share * length)[:, None]
    moved.sort(axis=1)
    moved[:, 1] += 0.1
    return moved


def make_case(
    rng: np.random.Generator, *, num_videos: int, num_gt: int, num_found: int, num_classes: int, one_label: bool
) -> tuple[Detections, GroundTruth]:
    """Videos of one true class; detections half around true segments, half anywhere, labelled truly or at random."""
    ids = tuple(f"v{i:05d}" for i in range(num_videos))
    true_class = rng.integers(0, num_classes, num_videos)
    gt_video = np.sort(np.concatenate([np.arange(num_videos), rng.integers(0, num_videos, num_gt - num_videos)]))
    start = rng.random(num_gt) * 100
    gt_segments = np.stack([start, start + 5 + rng.random(num_gt) * 60], axis=1)
    truth = GroundTruth(ids, tuple(f"c{i}" for i in range(num_classes)), gt_video, gt_segments, true_class[gt_video])

    video = np.sort(rng.integers(0, num_videos, num_found))
    first = np.searchsorted(gt_video, video)
    count = np.bincount(gt_video, minlength=num_videos)[video]
    near = spread(rng, gt_segments[first + rng.integers(0, count)], 0.1)
    start = rng.random(num_found) * 150
    far = np.stack([start, start + 1 + rng.random(num_found) * 80], axis=1)
    segments = np.where(rng.random(num_found)[:, None] < 0.5, near, far)
    labels = true_class[video] if one_label else rng.integers(0, num_classes, num_found)
    return Detections(ids, video, segments, labels, rng.random(num_found)), truth


def textbook(found: Detections, truth: GroundTruth, classes: IntArray, thresholds: FloatArray) -> FloatArray:
    """(len(classes), H) AP, one detection after another."""
    result = np.zeros((len(classes), len(thresholds)))
    for c, label in enumerate(classes):
        segments = {
            v: truth.segments_s[(truth.labels == label) & (truth.video == v)]
            for v in np.unique(truth.video[truth.labels == label])
        }
        taken = {v: np.zeros((len(thresholds), len(s)), bool) for v, s in segments.items()}
        rows = np.flatnonzero(found.labels == label)
        rows = rows[np.argsort(-found.scores[rows], kind="stable")]
        hits = np.zeros((len(thresholds), len(rows)), bool)
        for k, row in enumerate(rows):
            video = found.video[row]
            if video not in segments:
                continue
            tiou = tiou_matrix(found.segments_s[row][None], segments[video])[0]
            for h, threshold in enumerate(thresholds):
                for g in np.argsort(tiou, kind="stable")[::-1]:
                    if tiou[g] < threshold:
                        break
                    if not taken[video][h, g]:
                        taken[video][h, g] = hits[h, k] = True
                        break
        tp = np.cumsum(hits, axis=1)
        precision = tp / np.arange(1, len(rows) + 1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        result[c] = (best * hits).sum(axis=1) / sum(map(len, segments.values()))
    return result


def activitynet_rows(rng: np.random.Generator, num_classes_textbook: int) -> list[tuple[str, str]]:
    protocol, rows = ActivityNet(), []
    for one_label in (True, False):
        found, truth = make_case(
            rng, num_videos=4728, num_gt=7620, num_found=472_800, num_classes=200, one_label=one_label
        )
        name = "one label" if one_label else "random labels"
        matches, match_s = cpu_seconds(lambda f=found, t=truth: protocol.match(f, t))  # type: ignore[misc]
        _, score_s = cpu_seconds(lambda m=matches: protocol.score(m))  # type: ignore[misc]
        rows.append((f"ActivityNet-1.3 size, {name}: match and score arrays", f"{match_s + score_s:.2f}"))
        rows.append((f"ActivityNet-1.3 size, {name}: read JSON, match and score", f"{from_json(found, truth):.2f}"))
        classes = np.arange(num_classes_textbook)
        share = np.isin(found.labels, classes).mean()
        ap, seconds = cpu_seconds(
            lambda f=found, t=truth, c=classes: textbook(f, t, c, np.asarray(protocol.tiou_thresholds))  # type: ignore[misc]
        )
        rows.append((f"  textbook loop, {num_classes_textbook} of 200 classes, scaled", f"{seconds / share:.1f}"))
        ours = protocol.per_class_ap(matches)
        names = protocol.metric_names()[:-1]
        gap = max(abs(ours[f"c{c}"][n] - ap[c, h]) for c in classes for h, n in enumerate(names))
        rows.append(("  largest difference in AP", f"{gap:.1e}"))
    return rows


def from_json(found: Detections, truth: GroundTruth) -> float:
    """CPU seconds from the file to the score."""
    protocol = ActivityNet()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        write_activitynet_json(path, found, truth.class_names)
        read = cpu_seconds(lambda: protocol.score(protocol.match(read_detections(path, truth.class_names), truth)))
    return read[1]


def growth_rows(rng: np.random.Generator) -> list[tuple[str, str]]:
    """Cost of twice and four times the detections on the same videos: linear is 2.0 and 4.0."""
    protocol, rows, base = ActivityNet(), [], 0.0
    for factor in (1, 2, 4):
        found, truth = make_case(
            rng, num_videos=4728, num_gt=7620, num_found=factor * 236_400, num_classes=200, one_label=True
        )
        seconds = min(cpu_seconds(lambda f=found, t=truth: protocol.score(protocol.match(f, t)))[1] for _ in range(3))  # type: ignore[misc]
        base = base or seconds
        rows.append((f"{factor * 50} detections a video: times the cost of 50", f"{seconds / base:.1f}"))
    return rows


def bootstrap_rows(rng: np.random.Generator, num_resamples: int) -> list[tuple[str, str]]:
    rows = []
    found, truth = make_case(rng, num_videos=213, num_gt=3358, num_found=40_000, num_classes=20, one_label=False)
    ambiguous = rng.random(99) * 150
    truth = GroundTruth(
        truth.video_ids, truth.class_names, truth.video, truth.segments_s, rng.integers(0, 20, len(truth.labels)),
        ambiguous_video=rng.integers(0, 213, 99), ambiguous_s=np.stack([ambiguous, ambiguous + 5], axis=1),
    )  # fmt: skip
    for protocol in (ActivityNet(tuple(t / 10 for t in range(1, 8))), Thumos14Official()):
        matches, seconds = cpu_seconds(lambda p=protocol: p.match(found, truth))  # type: ignore[misc]
        rows.append((f"THUMOS'14 size, {protocol.key}: match", f"{seconds:.2f}"))
        _, seconds = cpu_seconds(lambda p=protocol, m=matches: p.bootstrap(m, num_resamples=num_resamples, seed=0))  # type: ignore[misc]
        rows.append((f"THUMOS'14 size, {protocol.key}: {num_resamples} resamples", f"{seconds:.2f}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--textbook-classes", type=int, default=4, help="classes the textbook loop scores")
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    rows = activitynet_rows(rng, args.textbook_classes) + growth_rows(rng) + bootstrap_rows(rng, args.resamples)
    width = max(len(name) for name, _ in rows)
    print(f"{'case':<{width}}  CPU s")
    for name, value in rows:
        print(f"{name:<{width}}  {value:>7}")


if __name__ == "__main__":
    main()
