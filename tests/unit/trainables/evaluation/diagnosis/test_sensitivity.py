"""mAP_N by bucket, by hand and against a textbook version."""

from __future__ import annotations

import numpy as np
import pytest
from diagnosis_cases import ALPHAS, CLASSES, VIDEOS, annotations, detections
from diagnosis_references import Found, Truth, arrays, bucket_map_n, bucket_of
from hypothesis import given

from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.diagnosis.assignment import assign
from trainables.evaluation.diagnosis.buckets import Buckets
from trainables.evaluation.diagnosis.characteristics import Characteristic
from trainables.evaluation.diagnosis.normalized_ap import map_n
from trainables.evaluation.diagnosis.sensitivity import Sensitivity, sensitivity

LENGTHS = Buckets((0.0, 3.0, 5.0, 8.0, 9.0), ("XS", "S", "M", "L"))  # a length of 10 is in none


def _by_length(gt: Truth, det: Found, alphas: tuple[float, ...] = ALPHAS) -> Sensitivity:
    made = assign(*arrays(VIDEOS, CLASSES, gt, det), ActivityNet(alphas))
    characteristic = Characteristic("length_s", np.array([g[2] - g[1] for g in gt], np.float64), LENGTHS)
    return sensitivity(made, characteristic, map_n(made, made.hits, ~made.hits))


def test_by_hand() -> None:
    gt: Truth = [("v", 0, 2, "run"), ("v", 4, 8, "run"), ("w", 0, 2, "jump"), ("w", 10, 20, "jump")]  # N = 2
    det: Found = [
        ("v", 10, 12, "run", 0.9),  # false positive of every bucket
        ("v", 0, 2, "run", 0.8),  # takes the XS one
        ("v", 4, 8, "run", 0.7),  # takes the S one
        ("w", 10, 20, "jump", 0.6),  # takes the one in no bucket: left out everywhere
        ("w", 0, 2, "jump", 0.5),  # takes the XS one
    ]
    made = _by_length(gt, det, (0.5,))
    # XS: run (R 1, F 1) = 2/3, jump (R 1, F 0) = 1; S: run alone (R 1, F 1); overall: run hits at F 1, jump free of F
    assert made.avg_map_n.tolist() == pytest.approx([(2 / 3 + 1) / 2, 2 / 3, np.nan, np.nan], nan_ok=True)
    assert made.overall.tolist() == [pytest.approx((2 / 3 + 1) / 2)]
    assert made.sensitivity == pytest.approx(1 / 6)
    assert made.impact == pytest.approx(0.0)
    assert made.characteristic.num_instances.tolist() == [2, 1, 0, 0]
    saved = made.to_dict()
    assert saved["num_in_no_bucket"] == 1
    assert saved["avg_map_n"][2:] == [None, None]


def test_a_detection_that_takes_another_bucket_at_any_threshold_is_left_out_at_all() -> None:
    # run at [0, 4] (S) is taken at 0.5 and missed at 0.75: not a false positive of XS there
    gt: Truth = [("v", 0, 4, "run"), ("v", 10, 12, "run")]
    det: Found = [("v", 0, 6, "run", 0.9), ("v", 10, 12, "run", 0.8)]
    made = _by_length(gt, det, (0.5, 0.75))
    assert made.map_n[0].tolist() == [1.0, 1.0]
    assert made.map_n[1].tolist() == [1.0, 0.0]


@given(annotations(), detections())
def test_equals_a_textbook_version(gt: Truth, det: Found) -> None:
    made = _by_length(gt, det)
    held = [bucket_of(g[2] - g[1], LENGTHS.edges) for g in gt]
    averages = []
    for b in range(len(LENGTHS.names)):
        expected = bucket_map_n(gt, det, ALPHAS, [h == b for h in held])
        if expected is None:
            assert np.isnan(made.map_n[b]).all()
        else:
            assert made.map_n[b].tolist() == pytest.approx(expected, abs=1e-9)
            averages.append(sum(expected) / len(expected))
    overall = bucket_map_n(gt, det, ALPHAS, [True] * len(gt))
    assert overall is not None
    assert made.overall.tolist() == pytest.approx(overall, abs=1e-9)
    if averages:
        assert made.sensitivity == pytest.approx(max(averages) - min(averages), abs=1e-9)
        assert made.impact == pytest.approx(max(averages) - sum(overall) / len(overall), abs=1e-9)
    else:
        assert np.isnan(made.sensitivity)
        assert made.to_dict()["impact"] is None


@given(annotations(), detections())
def test_one_bucket_for_all_is_the_overall_score(gt: Truth, det: Found) -> None:
    made = assign(*arrays(VIDEOS, CLASSES, gt, det), ActivityNet(ALPHAS))
    overall = map_n(made, made.hits, ~made.hits)
    everything = Characteristic("any", np.zeros(len(gt)), Buckets((-np.inf, np.inf), ("all",)))
    made_all = sensitivity(made, everything, overall)
    assert made_all.map_n[0].tolist() == pytest.approx(overall.tolist())
    assert made_all.sensitivity == 0.0
