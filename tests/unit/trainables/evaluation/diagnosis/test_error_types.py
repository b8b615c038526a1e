"""Each of DETAD's six types by hand, and which goes before which.

One video; annotated: run at [0, 10] and [100, 110], jump at [30, 40], and [60, 70] under both names.
alpha = 0.5, beta = 0.1.
"""

from __future__ import annotations

import numpy as np
import pytest
from diagnosis_references import Found, Truth, arrays, tiou

from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.diagnosis.assignment import assign
from trainables.evaluation.diagnosis.error_types import ErrorType, best_overlaps, error_types

GT: Truth = [
    ("v", 0, 10, "run"),
    ("v", 100, 110, "run"),
    ("v", 30, 40, "jump"),
    ("v", 60, 70, "jump"),
    ("v", 60, 70, "run"),
]
TAKEN: Found = [("v", *g[1:], 0.9) for g in GT]  # every annotation is taken by a better detection

# detection, whether the annotations are taken already, type
TABLE = [
    ("hit", (0, 9, "run"), False, ErrorType.TRUE_POSITIVE),
    ("exactly alpha", (0, 5, "run"), False, ErrorType.TRUE_POSITIVE),
    ("second detection", (0, 10, "run"), True, ErrorType.DOUBLE_DETECTION),
    ("second detection, exactly alpha", (0, 5, "run"), True, ErrorType.DOUBLE_DETECTION),
    ("wrong label", (30, 40, "run"), False, ErrorType.WRONG_LABEL),
    ("wrong label, exactly alpha", (30, 35, "run"), False, ErrorType.WRONG_LABEL),
    ("wrong label though its instance is taken", (30, 40, "run"), True, ErrorType.WRONG_LABEL),
    ("loose", (0, 4, "run"), False, ErrorType.LOCALISATION),
    ("loose, exactly beta", (0, 1, "run"), False, ErrorType.LOCALISATION),
    ("loose though taken: no double detection below alpha", (0, 4, "run"), True, ErrorType.LOCALISATION),
    ("loose and wrong", (30, 34, "run"), False, ErrorType.CONFUSION),
    ("loose and wrong, exactly beta", (30, 31, "run"), False, ErrorType.CONFUSION),
    ("below beta", (0, 0.9, "run"), False, ErrorType.BACKGROUND),
    ("below beta, wrong", (30, 30.9, "run"), False, ErrorType.BACKGROUND),
    ("touches nothing", (200, 210, "run"), False, ErrorType.BACKGROUND),
    ("touches an end", (10, 20, "run"), False, ErrorType.BACKGROUND),
    ("two names: free one of its own class is hit", (60, 70, "run"), False, ErrorType.TRUE_POSITIVE),
    ("two names: of equals its own class decides (listed second)", (60, 70, "run"), True, ErrorType.DOUBLE_DETECTION),
    ("two names: of equals its own class decides (listed first)", (60, 70, "jump"), True, ErrorType.DOUBLE_DETECTION),
    ("two names, loose", (60, 64, "run"), True, ErrorType.LOCALISATION),
    ("a third name", (60, 70, "sit"), True, ErrorType.WRONG_LABEL),
    ("a third name, loose", (60, 64, "sit"), True, ErrorType.CONFUSION),
]


@pytest.mark.parametrize(("name", "segment", "taken", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_each_type(name: str, segment: tuple[float, float, str], taken: bool, expected: ErrorType) -> None:
    assert _type_of(GT, [*(TAKEN if taken else []), ("v", *segment, 0.5)]) is expected


# the largest tIoU decides, also where another annotation would tell of a milder or a worse error
RIVALS = [
    # own class taken at 0.8, other class at 1.0: the nearer one names it
    ("wrong label before double detection", [(0, 8, "run"), (0, 10, "jump")], True, ErrorType.WRONG_LABEL),
    # other class at 0.8, own class taken at 1.0
    ("double detection before wrong label", [(0, 10, "run"), (0, 8, "jump")], True, ErrorType.DOUBLE_DETECTION),
    # own class free at 0.8: a hit whatever lies nearer
    ("true positive before wrong label", [(0, 8, "run"), (0, 10, "jump")], False, ErrorType.TRUE_POSITIVE),
    # own class at 0.4, other class at 0.8
    ("wrong label before localisation", [(0, 4, "run"), (0, 8, "jump")], False, ErrorType.WRONG_LABEL),
    # own class at 0.3, other class at 0.4
    ("confusion before localisation", [(0, 3, "run"), (0, 4, "jump")], False, ErrorType.CONFUSION),
    # own class at 0.4, other class at 0.3
    ("localisation before confusion", [(0, 4, "run"), (0, 3, "jump")], False, ErrorType.LOCALISATION),
    # own class at 0.05, other class at 0.4
    ("confusion before background", [(0, 0.5, "run"), (0, 4, "jump")], False, ErrorType.CONFUSION),
    # own class at 0.4, other class at 0.05
    ("localisation before background", [(0, 4, "run"), (0, 0.5, "jump")], False, ErrorType.LOCALISATION),
]


@pytest.mark.parametrize(("name", "segments", "taken", "expected"), RIVALS, ids=[row[0] for row in RIVALS])
def test_the_largest_overlap_decides(
    name: str, segments: list[tuple[float, float, str]], taken: bool, expected: ErrorType
) -> None:
    gt: Truth = [("v", *s) for s in segments]
    better: Found = [("v", *segments[0], 0.9)] if taken else []
    assert _type_of(gt, [*better, ("v", 0, 10, "run", 0.5)]) is expected


def test_every_threshold_has_its_own_types() -> None:
    found, truth = arrays(("v",), ("run", "jump"), GT, [("v", 0, 6, "run", 0.9), ("v", 30, 36, "run", 0.8)])
    made = assign(found, truth, ActivityNet((0.5, 0.75)))
    assert error_types(made, np.arange(2)).tolist() == [
        [ErrorType.TRUE_POSITIVE, ErrorType.LOCALISATION],
        [ErrorType.WRONG_LABEL, ErrorType.CONFUSION],
    ]


def test_videos_without_annotation_are_background_for_every_detection() -> None:
    det: Found = [("w", 0, 10, "run", 0.9), ("w", 0, 10, "run", 0.8), ("v", 0, 10, "run", 0.7)]
    found, truth = arrays(("v", "w"), ("run", "jump"), GT, det)
    made = assign(found, truth, ActivityNet((0.5,)))
    assert error_types(made, np.arange(3))[:, 0].tolist() == [5, 5, 0]


def test_overlaps_are_the_textbook_s_whatever_the_size_of_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 100, 60).tolist()
    det: Found = [("vwx"[k % 3], s, s + 7, ("run", "jump")[k % 4 == 0], k / 60) for k, s in enumerate(starts)]
    gt: Truth = [*GT, ("w", 0, 50, "jump"), ("w", 40, 48, "run")]
    found, truth = arrays(("v", "w", "x"), ("run", "jump"), gt, det)
    aligned = assign(found, truth, ActivityNet((0.5,))).aligned
    ranks = [round(score * 60) for score in aligned.scores.tolist()]  # scores say which detection it is
    for own_class, column in ((True, 0), (False, 1)):
        expected = [
            max(
                (tiou(det[k][1:3], g[1:3]) for g in gt if g[0] == det[k][0] and (g[3] == det[k][3]) == own_class),
                default=0,
            )
            for k in ranks
        ]
        assert 0 < np.count_nonzero(expected) < 60
        for size in (1, 7, 100, 1 << 22):
            monkeypatch.setattr("trainables.evaluation.diagnosis.error_types._CHUNK", size)
            assert best_overlaps(aligned, np.arange(60))[column].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("beta", [0.0, -0.1, 0.6])
def test_a_beta_beyond_alpha_is_refused(beta: float) -> None:
    found, truth = arrays(("v",), ("run", "jump"), GT, TAKEN)
    made = assign(found, truth, ActivityNet((0.5, 0.75)))
    with pytest.raises(ValueError, match=f"background_tiou: {beta} must be positive and at most .* 0.5"):
        error_types(made, np.arange(1), background_tiou=beta)


def _type_of(gt: Truth, det: Found) -> ErrorType:
    """Type of the detection with the lowest score."""
    found, truth = arrays(("v",), ("run", "jump", "sit"), gt, det)
    made = assign(found, truth, ActivityNet((0.5,)))
    lowest = np.flatnonzero(made.aligned.scores == found.scores.min())
    return ErrorType(int(error_types(made, lowest)[0, 0]))
