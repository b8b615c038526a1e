"""CPU seconds of a diagnosis at ActivityNet-1.3 size.

Run ``python benchmarks/diagnosis.py``. The textbook loop (matching and naming errors one detection at a time, as the
public tool does) runs on a part of the classes in the same process; its time is scaled by the number of detections.
"""

from __future__ import annotations

import argparse

import numpy as np
from evaluation import cpu_seconds, make_case

from trainables.detections import Detections, FloatArray, GroundTruth, IntArray
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.diagnosis.assignment import assign
from trainables.evaluation.diagnosis.characteristics import annotated_characteristics
from trainables.evaluation.diagnosis.diagnose import diagnose
from trainables.evaluation.diagnosis.error_types import BACKGROUND_TIOU, error_types
from trainables.evaluation.diagnosis.false_negatives import false_negatives
from trainables.evaluation.diagnosis.false_positives import false_positive_profile
from trainables.segments import tiou_matrix


def textbook(found: Detections, truth: GroundTruth, classes: IntArray, thresholds: FloatArray) -> IntArray:
    """(H, 6) detections of each error type, one detection after another."""
    counts = np.zeros((len(thresholds), 6), np.int64)
    of_video = {v: np.flatnonzero(truth.video == v) for v in np.unique(truth.video)}
    for label in classes:
        taken = np.zeros((len(thresholds), len(truth.labels)), bool)
        rows = np.flatnonzero(found.labels == label)
        for row in rows[np.argsort(-found.scores[rows], kind="stable")]:
            segments = of_video[found.video[row]]
            tiou = tiou_matrix(found.segments_s[row][None], truth.segments_s[segments])[0]
            own = truth.labels[segments] == label
            for h, alpha in enumerate(thresholds):
                free = np.where(own & ~taken[h, segments] & (tiou >= alpha), tiou, -1.0)
                best = len(free) - 1 - int(free[::-1].argmax())
                if free[best] >= 0:
                    taken[h, segments[best]] = True
                    counts[h, 0] += 1
                elif tiou.max() < BACKGROUND_TIOU:
                    counts[h, 5] += 1
                else:
                    right = tiou.max(initial=0, where=own) == tiou.max()
                    counts[h, (1 if right else 2) if tiou.max() >= alpha else (3 if right else 4)] += 1
    return counts


def case_rows(rng: np.random.Generator, num_classes_textbook: int, *, one_label: bool) -> list[tuple[str, str]]:
    protocol, name = ActivityNet(), "one label" if one_label else "random labels"
    found, truth = make_case(rng, num_videos=4728, num_gt=7620, num_found=472_800, num_classes=200, one_label=one_label)
    durations_s = dict.fromkeys(truth.video_ids, 180.0)
    _, whole = cpu_seconds(lambda: diagnose(found, truth, durations_s, protocol=protocol))
    made, matching = cpu_seconds(lambda: assign(found, truth, protocol))
    types, naming = cpu_seconds(lambda: error_types(made, np.arange(len(found.labels))))
    _, profile = cpu_seconds(lambda: false_positive_profile(made))
    _, missing = cpu_seconds(lambda: false_negatives(made, ()))
    _, describing = cpu_seconds(lambda: annotated_characteristics(truth, durations_s))
    classes = np.arange(num_classes_textbook)
    counts, loop = cpu_seconds(lambda: textbook(found, truth, classes, np.asarray(protocol.tiou_thresholds)))
    loop /= np.isin(found.labels, classes).mean()
    part = np.isin(made.aligned.labels, classes)
    ours = np.stack([np.bincount(column, minlength=6) for column in types[part].T])
    return [
        (f"{name}: whole diagnosis", f"{whole:.2f}"),
        ("  matching", f"{matching:.2f}"),
        ("  error types of every detection", f"{naming:.2f}"),
        ("  false-positive profile with removals", f"{profile:.2f}"),
        ("  missed instances", f"{missing:.2f}"),
        ("  characteristics", f"{describing:.2f}"),
        (f"  textbook loop for the first two, {num_classes_textbook} of 200 classes, scaled", f"{loop:.1f}"),
        ("  textbook / (matching + error types)", f"{loop / (matching + naming):.0f} x"),
        ("  difference to the counts of the textbook", f"{np.abs(ours - counts).sum()}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--textbook-classes", type=int, default=4, help="classes the textbook loop goes through")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    rows = [row for one_label in (True, False) for row in case_rows(rng, args.textbook_classes, one_label=one_label)]
    width = max(len(name) for name, _ in rows)
    print(f"{'case':<{width}}  CPU s")
    for name, value in rows:
        print(f"{name:<{width}}  {value:>7}")


if __name__ == "__main__":
    main()
