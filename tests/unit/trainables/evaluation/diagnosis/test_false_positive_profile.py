"""The profile of error types and the gain of removing each, by hand and against a textbook version."""

from __future__ import annotations

import numpy as np
import pytest
from diagnosis_cases import ALPHAS, CLASSES, VIDEOS, annotations, detections
from diagnosis_references import Found, Truth, arrays, top_map_n, type_counts
from hypothesis import given

from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.diagnosis.assignment import Assignment, assign
from trainables.evaluation.diagnosis.error_types import ErrorType
from trainables.evaluation.diagnosis.false_positives import ERRORS, false_positive_profile
from trainables.evaluation.diagnosis.normalized_ap import map_n, normalized_precision


def _assign(gt: Truth, det: Found, alphas: tuple[float, ...] = ALPHAS) -> Assignment:
    return assign(*arrays(VIDEOS, CLASSES, gt, det), ActivityNet(alphas))


# run: G = 2, jump: G = 1, so N = 1.5
GT: Truth = [("v", 0, 10, "run"), ("v", 20, 30, "run"), ("w", 0, 10, "jump")]
DET: Found = [
    ("v", 0, 10, "run", 0.9),  # hit, 1 G
    ("v", 0, 9, "run", 0.8),  # double detection, 1 G
    ("w", 0, 10, "run", 0.7),  # wrong label, 2 G
    ("v", 20, 30, "run", 0.6),  # hit, 2 G
    ("x", 0, 10, "run", 0.5),  # background, 3 G
    ("w", 0, 3, "jump", 0.4),  # localisation, 1 G
    ("v", 20, 24, "jump", 0.3),  # confusion, 2 G
    ("w", 0, 10, "jump", 0.2),  # hit, 3 G
]


def test_a_profile_by_hand() -> None:
    profile = false_positive_profile(_assign(GT, DET, (0.5,)), multiples=3)
    assert profile.counts[:, 0].tolist() == [[1, 1, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0], [1, 0, 0, 0, 0, 1]]
    assert profile.range_shares == pytest.approx(profile.counts[:, 0] / np.array([[3], [3], [2]]))
    assert profile.top_shares == pytest.approx(
        np.array([[1, 1, 0, 1, 0, 0], [2, 1, 1, 1, 1, 0], [3, 1, 1, 1, 1, 1]]) / np.array([[3], [6], [8]])
    )
    assert profile.num_beyond == 0
    assert false_positive_profile(_assign(GT, DET, (0.5,)), multiples=2).num_beyond == 2


def test_gains_by_hand() -> None:
    profile = false_positive_profile(_assign(GT, DET, (0.5,)))
    # precision_N = R N / (R N + F), N = 1.5; run: hits at (R 1/2, F 0), (R 1, F 2); jump: (R 1, F 2)
    run, jump = (1 + 1.5 / 3.5) / 2, 1.5 / 3.5
    assert profile.map_n[0] == pytest.approx((run + jump) / 2)
    run_fewer, jump_fewer = (1 + 1.5 / 2.5) / 2, 1.5 / 2.5
    assert dict(zip(ERRORS, profile.gains[:, 0], strict=True)) == pytest.approx(
        {
            ErrorType.DOUBLE_DETECTION: (run_fewer - run) / 2,
            ErrorType.WRONG_LABEL: (run_fewer - run) / 2,
            ErrorType.LOCALISATION: (jump_fewer - jump) / 2,
            ErrorType.CONFUSION: (jump_fewer - jump) / 2,
            ErrorType.BACKGROUND: 0.0,  # below the last hit
        }
    )


@given(annotations(), detections())
def test_profile_and_gains_equal_a_textbook_version(gt: Truth, det: Found) -> None:
    profile = false_positive_profile(_assign(gt, det), multiples=4)
    for h, alpha in enumerate(ALPHAS):
        for multiple in range(1, 5):
            assert profile.counts[:multiple, h].sum(axis=0).tolist() == type_counts(gt, det, alpha, multiple)
        base = top_map_n(gt, det, alpha, set(), 4)
        assert profile.map_n[h] == pytest.approx(base, abs=1e-9)
        for kind, gain in zip(ERRORS, profile.gains[:, h], strict=True):
            assert gain == pytest.approx(top_map_n(gt, det, alpha, {kind}, 4) - base, abs=1e-9)


@given(annotations(), detections())
def test_shares_sum_to_one_and_every_detection_is_counted(gt: Truth, det: Found) -> None:
    profile = false_positive_profile(_assign(gt, det), multiples=3)
    for shares in (profile.top_shares, profile.range_shares):
        sums = shares.sum(axis=1)
        assert sums[~np.isnan(sums)] == pytest.approx(1.0)
    by_threshold = profile.counts.sum(axis=(0, 2))
    assert by_threshold.tolist() == [len(det) - profile.num_beyond] * len(ALPHAS)
    assert (profile.counts.sum(axis=2) == profile.counts.sum(axis=2)[:, :1]).all()


@given(annotations(), detections())
def test_without_any_error_the_score_is_the_recall_and_no_removal_lowers_it(gt: Truth, det: Found) -> None:
    made = _assign(gt, det)
    clean = map_n(made, made.hits, np.zeros_like(made.hits))
    for h in range(len(ALPHAS)):
        recalls = []
        for label in np.flatnonzero(made.num_gt):
            rows = made.aligned.labels == label
            recalls.append(made.hits[rows, h].sum() / made.num_gt[label])
        assert clean[h] == pytest.approx(np.mean(recalls))
    profile = false_positive_profile(made)
    assert (profile.gains >= -1e-12).all()
    assert (profile.map_n + profile.gains <= clean + 1e-12).all()


@given(annotations(), detections())
def test_without_any_error_the_score_is_one_where_everything_is_found(gt: Truth, det: Found) -> None:
    made = _assign(gt, [*det, *((*g, 0.05) for g in gt)])
    clean = map_n(made, made.hits, np.zeros_like(made.hits))
    assert clean.tolist() == [pytest.approx(1.0)] * len(ALPHAS)


@given(annotations(), detections(distinct_scores=True))
def test_order_of_videos_and_a_rising_change_of_scores_leave_the_profile(gt: Truth, det: Found) -> None:
    base = false_positive_profile(_assign(gt, det), multiples=3)
    other_scores = [(*d[:4], d[4] ** 3 + 5) for d in det]
    by_video = [[row for video in reversed(VIDEOS) for row in rows if row[0] == video] for rows in (gt, other_scores)]
    found, truth = arrays(tuple(reversed(VIDEOS)), CLASSES, *by_video)
    again = false_positive_profile(assign(found, truth, ActivityNet(ALPHAS)), multiples=3)
    assert np.array_equal(base.counts, again.counts)
    assert again.map_n == pytest.approx(base.map_n, abs=1e-12)
    assert again.gains == pytest.approx(base.gains, abs=1e-12)


def test_normalised_precision_does_not_depend_on_the_size_of_the_class() -> None:
    hits = np.random.default_rng(0).random((40, 2)) < 0.4
    small = normalized_precision(hits, ~hits, num_gt=40, mean_gt=10.0)
    # twice the instances and twice the hits among as many false positives
    doubled = np.repeat(hits, 2, axis=0)
    misses = ~doubled
    misses[::2] = False
    large = normalized_precision(doubled, misses, num_gt=80, mean_gt=10.0)
    assert large[1::2] == pytest.approx(small)
    assert ((small > 0) & (small < 1)).any()


def test_with_classes_of_equal_size_normalised_ap_is_ap() -> None:
    gt: Truth = [(v, s, s + 5.0, c) for v in VIDEOS for c, s in (("run", 0.0), ("jump", 10.0))]
    rng = np.random.default_rng(1)
    det: Found = [
        (v, s + d, s + d + 5.0, c, p)
        for (v, s, _, c), d, p in zip(gt * 4, rng.normal(0, 1, 24).tolist(), rng.random(24).tolist(), strict=True)
    ]
    found, truth = arrays(VIDEOS, CLASSES, gt, det)
    protocol = ActivityNet(ALPHAS[:2])
    made = assign(found, truth, protocol)
    score = protocol.score(protocol.match(found, truth))
    assert 0 < score["avg_map"] < 1
    assert map_n(made, made.hits, ~made.hits).tolist() == pytest.approx(
        [score["map_tiou_0.50"], score["map_tiou_0.75"]]
    )


def test_nothing_found_is_a_profile_without_shares() -> None:
    profile = false_positive_profile(_assign(GT, []))
    assert np.isnan(profile.top_shares).all()
    assert profile.map_n.tolist() == [0.0] * len(ALPHAS)
    assert not profile.gains.any()
    assert profile.to_dict()["top_shares"] == [[None] * 6] * 10


def test_detections_of_a_class_nobody_annotated_are_beyond_the_profile() -> None:
    profile = false_positive_profile(_assign(GT, [*DET, ("v", 0, 10, "sit", 0.95)]))
    assert profile.num_beyond == 1
    assert profile.counts.sum() == len(DET) * len(ALPHAS)


def test_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples: 0 must be at least 1"):
        false_positive_profile(_assign(GT, DET), multiples=0)
