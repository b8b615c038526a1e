"""The whole diagnosis: its parts agree with each other, and it is JSON in a fixed order."""

from __future__ import annotations

import json

import numpy as np
import pytest
from diagnosis_cases import ALPHAS, CLASSES, DURATIONS_S, VIDEOS, annotations, detections
from diagnosis_references import Found, Truth, arrays
from hypothesis import given

from trainables.evaluation.detection.protocols import ActivityNet, OpenTad
from trainables.evaluation.diagnosis.buckets import THUMOS14_BUCKETS
from trainables.evaluation.diagnosis.diagnose import Diagnosis, diagnose
from trainables.evaluation.diagnosis.extra_characteristics import ExtraCharacteristics

GT: Truth = [("v", 0, 2, "run"), ("v", 4, 8, "run"), ("x", 0, 35, "run"), ("x", 20, 28, "jump")]
DET: Found = [("v", 0, 2, "run", 0.9), ("x", 0, 25, "run", 0.8), ("x", 20, 28, "run", 0.7), ("w", 0, 1, "jump", 0.6)]


def test_the_parts_of_a_diagnosis() -> None:
    made = diagnose(*arrays(VIDEOS, CLASSES, GT, DET), DURATIONS_S)
    assert (made.num_instances, made.num_detections, made.mean_instances_per_class) == (4, 4, 2.0)
    assert len(made.tiou_thresholds) == 10
    names = [part.characteristic.name for part in made.sensitivity]
    assert names == ["coverage", "length_s", "num_instances"]
    assert [p.characteristic.name for p in made.false_negatives.by_characteristic] == names
    assert all(np.array_equal(part.overall, made.map_n) for part in made.sensitivity)
    # run: hits at 0.9 for all ten thresholds, at 0.8 (tIoU 25 / 35) for the five up to 0.7; N = 2, 3 instances
    one, two = 1 / 3, 2 / 3
    assert made.map_n.tolist() == pytest.approx([two / 2] * 5 + [one / 2] * 5)
    assert made.warnings == {"classes_without_ground_truth": 1}


def test_json_is_strict_and_in_a_fixed_order() -> None:
    made = diagnose(*arrays(VIDEOS, CLASSES, GT, DET), DURATIONS_S)
    text = json.dumps(made.to_dict(), allow_nan=False)
    again = diagnose(*arrays(VIDEOS, CLASSES, GT, DET), dict(reversed(DURATIONS_S.items())))
    assert text == json.dumps(again.to_dict(), allow_nan=False)
    saved = json.loads(text)
    assert list(saved) == [
        "tiou_thresholds", "num_instances", "num_detections", "mean_instances_per_class", "avg_map_n", "map_n",
        "false_positives", "sensitivity", "false_negatives", "warnings",
    ]  # fmt: skip
    assert saved["avg_map_n"] == pytest.approx(float(made.map_n.mean()))
    assert saved["sensitivity"]["length_s"]["edges"] == [0, 30, 60, 120, 180, None]
    assert saved["sensitivity"]["length_s"]["num_instances"] == [3, 1, 0, 0, 0]
    assert saved["sensitivity"]["length_s"]["avg_map_n"][2:] == [None] * 3
    assert saved["false_negatives"]["by_pair"][0]["characteristics"] == ["coverage", "length_s"]
    assert list(saved["false_positives"]["removal"]) == saved["false_positives"]["types"][1:]


@given(annotations(), detections(distinct_scores=True))
def test_order_of_videos_and_a_rising_change_of_scores_leave_it(gt: Truth, det: Found) -> None:
    backwards = tuple(reversed(VIDEOS))
    moved = [[row for v in backwards for row in rows if row[0] == v] for rows in (gt, det)]
    moved[1] = [(*row[:4], np.exp(3 * row[4]) - 7) for row in moved[1]]  # type: ignore[misc]
    base = _rounded(diagnose(*arrays(VIDEOS, CLASSES, gt, det), DURATIONS_S, protocol=ActivityNet(ALPHAS)))
    again = _rounded(diagnose(*arrays(backwards, CLASSES, *moved), DURATIONS_S, protocol=ActivityNet(ALPHAS)))
    assert base == again


def _rounded(made: Diagnosis) -> object:
    return json.loads(json.dumps(made.to_dict()), parse_float=lambda text: round(float(text), 9))


def test_extra_characteristics_are_added_and_replace_computed_ones() -> None:
    found, truth = arrays(VIDEOS, CLASSES, GT, DET)
    backwards = GT[::-1]
    noted = {"agreement": np.array([0.1, np.nan, 0.9, 0.9]), "num_instances": np.array([9.0, 9, 9, 9])}
    extra = ExtraCharacteristics("notes", arrays(VIDEOS, CLASSES, backwards, [])[1], noted)
    made = diagnose(found, truth, DURATIONS_S, extra=extra)
    by_name = {part.characteristic.name: part for part in made.sensitivity}
    assert list(by_name) == ["coverage", "length_s", "num_instances", "agreement"]
    agreement = by_name["agreement"].characteristic
    assert agreement.values.tolist() == pytest.approx([0.9, 0.9, np.nan, 0.1], nan_ok=True)
    assert agreement.num_instances.tolist() == [1, 0, 0, 0, 2]
    assert agreement.to_dict()["num_in_no_bucket"] == 1
    assert by_name["num_instances"].characteristic.num_instances.tolist() == [0, 0, 0, 4]
    assert len(made.false_negatives.by_pair) == 6


def test_the_ground_truth_is_the_one_the_protocol_takes() -> None:
    found, truth = arrays(VIDEOS, CLASSES, [*GT, ("v", 4, 8, "run")], [*DET, ("v", 4, 8, "run", 0.3)])
    extra = ExtraCharacteristics("notes", truth, {"agreement": np.array([0.1, 0.3, 0.5, 0.7, 0.9])})
    made = diagnose(found, truth, DURATIONS_S, protocol=OpenTad(), extra=extra)
    assert made.num_instances == 4
    assert made.warnings["near_duplicate_instances_left_out"] == 1
    assert not made.false_negatives.missed[1].any()
    fewer = diagnose(found, truth, DURATIONS_S, protocol=ActivityNet(exclude_videos=("x",)), extra=extra)
    assert (fewer.num_instances, fewer.num_detections) == (3, 3)
    assert fewer.warnings["excluded_videos"] == 1
    assert fewer.sensitivity[-1].characteristic.num_instances.sum() == 3


def test_buckets_can_be_those_of_another_data_set_or_quantiles() -> None:
    data = arrays(VIDEOS, CLASSES, GT, DET)
    thumos = diagnose(*data, DURATIONS_S, buckets=THUMOS14_BUCKETS).sensitivity[1].characteristic
    assert thumos.num_instances.tolist() == [1, 1, 1, 0, 1]
    quantiles = diagnose(*data, DURATIONS_S, buckets={}).sensitivity[1].characteristic
    assert quantiles.num_instances.tolist() == [1, 1, 1, 1]


def test_what_does_not_fit_is_refused() -> None:
    data = arrays(VIDEOS, CLASSES, GT, DET)
    with pytest.raises(ValueError, match=r"notes: agreement has shape \(3,\), there are 4 segments"):
        ExtraCharacteristics("notes", data[1], {"agreement": np.zeros(3)})
    with pytest.raises(ValueError, match="notes: agreement: row 1 is infinite; NaN says unknown"):
        ExtraCharacteristics("notes", data[1], {"agreement": np.array([0, np.inf, 0, 0])})
    some = ExtraCharacteristics("notes", arrays(VIDEOS, CLASSES, GT[:2], [])[1], {"agreement": np.zeros(2)})
    with pytest.raises(ValueError, match=r"notes: holds no run at \[0.0, 35.0\] in video 'x'"):
        diagnose(*data, DURATIONS_S, extra=some)
    with pytest.raises(ValueError, match="video 'v' is missing"):
        diagnose(*data, {"x": 40.0})
    with pytest.raises(ValueError, match="in the ground truth"):
        diagnose(arrays((*VIDEOS, "y"), CLASSES, [], [("y", 0, 1, "run", 0.5)])[0], data[1], DURATIONS_S)


def test_what_is_left_out_is_counted() -> None:
    found, truth = arrays((*VIDEOS, "y"), CLASSES, GT, [*DET, ("y", 0, 1, "run", 0.5), ("v", 3, 3, "run", 0.5)])
    _, truth = arrays(VIDEOS, CLASSES, GT, [])
    made = diagnose(found, truth, DURATIONS_S, protocol=ActivityNet(on_unknown_video="drop"))
    assert made.num_detections == len(DET)
    assert made.warnings["unknown_video_detections_dropped"] == 1
    assert made.warnings["empty_detections_dropped"] == 1
    counted = diagnose(found, truth, DURATIONS_S, protocol=ActivityNet(on_unknown_video="count"))
    assert counted.num_detections == len(DET) + 1
    assert counted.to_dict()["warnings"]["unknown_video_detections_counted"] == 1
