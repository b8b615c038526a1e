"""Missed instances by bucket and by pair of buckets, by hand and against a textbook version."""

from __future__ import annotations

import numpy as np
import pytest
from diagnosis_cases import ALPHAS, CLASSES, DURATIONS_S, VIDEOS, annotations, detections
from diagnosis_references import Found, Truth, arrays, bucket_of, missed
from hypothesis import given

from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.diagnosis.assignment import assign
from trainables.evaluation.diagnosis.buckets import Buckets
from trainables.evaluation.diagnosis.characteristics import annotated_characteristics, characterise
from trainables.evaluation.diagnosis.false_negatives import FalseNegatives, false_negatives, missed_instances

BUCKETS = {
    "coverage": Buckets((0.0, 0.25, 0.5), ("low", "high")),  # longer ones are in none
    "length_s": Buckets((0.0, 3.0, 6.0, 10.0), ("S", "M", "L")),
    "num_instances": Buckets((0.0, 1.0, 9.0), ("one", "more")),
}


def _missed(gt: Truth, det: Found, alphas: tuple[float, ...] = ALPHAS) -> FalseNegatives:
    found, truth = arrays(VIDEOS, CLASSES, gt, det)
    characteristics = characterise(annotated_characteristics(truth, DURATIONS_S), BUCKETS)
    return false_negatives(assign(found, truth, ActivityNet(alphas)), characteristics)


def test_by_hand() -> None:
    gt: Truth = [("v", 0, 2, "run"), ("v", 4, 8, "run"), ("x", 0, 10, "run"), ("x", 20, 28, "jump")]
    det: Found = [("v", 0, 2, "run", 0.9), ("x", 0, 6, "run", 0.8), ("x", 0, 2, "jump", 0.7)]
    made = _missed(gt, det, (0.5, 0.75))
    assert made.missed.tolist() == [[False, False], [True, True], [False, True], [True, True]]
    _, length, number = made.by_characteristic
    assert length.shares.tolist() == [[0, 0], [1, 1], [0.5, 1]]
    assert number.shares.tolist() == [[0.5, 1], [0.5, 0.5]]
    pair = made.by_pair[2]
    assert (pair.first.name, pair.second.name) == ("length_s", "num_instances")
    assert pair.num_instances.tolist() == [[0, 1], [0, 1], [2, 0]]
    assert pair.avg_shares.ravel().tolist() == pytest.approx([np.nan, 0, np.nan, 1, 0.75, np.nan], nan_ok=True)
    saved = made.to_dict()
    assert saved["avg_missed"] == pytest.approx(5 / 8)
    assert saved["by_pair"][2]["avg_missed"] == [[None, 0.0], [None, 1.0], [0.75, None]]


@pytest.mark.parametrize(("num_false", "is_missed"), [(18, False), (19, True), (20, True)])
def test_a_hit_at_a_normalised_precision_of_one_twentieth_is_a_miss(num_false: int, is_missed: bool) -> None:
    # one instance of one class: N = 1, precision 1 / (1 + F), 1 / 20 at F = 19
    det: Found = [("w", 0, 1, "run", 0.9)] * num_false + [("v", 0, 2, "run", 0.5)]
    assert _missed([("v", 0, 2, "run")], det, (0.5,)).missed.tolist() == [[is_missed]]


def test_precision_is_taken_where_the_hit_stands_not_at_its_best_later() -> None:
    # six hits after a heap of 30: the precision k / (k + 30) is above 1 / 20 from the second on
    gt: Truth = [("x", 4.0 * k, 4.0 * k + 2, "run") for k in range(6)]
    det: Found = [("w", 0, 1, "run", 0.9)] * 30 + [(*g, 0.5) for g in gt]
    assert _missed(gt, det, (0.5,)).missed[:, 0].tolist() == [True, *[False] * 5]


@given(annotations(), detections())
def test_equals_a_textbook_version(gt: Truth, det: Found) -> None:
    made = _missed(gt, det)
    expected = np.array([missed(gt, det, alpha) for alpha in ALPHAS]).T
    assert made.missed.tolist() == expected.tolist()
    names = [part.characteristic.name for part in made.by_characteristic]
    values = {part.characteristic.name: part.characteristic.values for part in made.by_characteristic}
    held = {name: [bucket_of(float(v), BUCKETS[name].edges) for v in values[name]] for name in names}
    for part in made.by_characteristic:
        for b in range(len(part.characteristic.buckets.names)):
            rows = [i for i, h in enumerate(held[part.characteristic.name]) if h == b]
            share = expected[rows].mean(axis=0) if rows else np.full(len(ALPHAS), np.nan)
            assert part.shares[b].tolist() == pytest.approx(share.tolist(), abs=1e-9, nan_ok=True)
    assert len(made.by_pair) == 3
    for pair in made.by_pair:
        cells = list(zip(held[pair.first.name], held[pair.second.name], strict=True))
        for cell in np.ndindex(pair.num_instances.shape):
            rows = [i for i, c in enumerate(cells) if c == cell]
            assert pair.num_instances[cell] == len(rows)
            share = expected[rows].mean() if rows else np.nan
            assert pair.avg_shares[cell] == pytest.approx(share, abs=1e-9, nan_ok=True)


@given(annotations(), detections())
def test_a_lower_precision_misses_no_more(gt: Truth, det: Found) -> None:
    made = assign(*arrays(VIDEOS, CLASSES, gt, det), ActivityNet(ALPHAS))
    shown, hidden = missed_instances(made, least_precision=0.0), missed_instances(made, least_precision=0.4)
    assert (shown <= hidden).all()
    taken = np.zeros_like(shown)
    rows, thresholds = np.nonzero(made.hits)
    taken[made.segment[rows, thresholds], thresholds] = True
    assert np.array_equal(shown, ~taken)
