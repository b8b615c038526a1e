"""Random annotations and detections on a coarse grid: ties, duplicates, several classes, empty videos."""

from __future__ import annotations

from diagnosis_references import Found, Truth
from hypothesis import strategies as st

VIDEOS = ("v", "w", "x")
CLASSES = ("run", "jump", "sit")
DURATIONS_S = {"v": 12.0, "w": 20.0, "x": 40.0}
ALPHAS = (0.5, 0.75, 1.0)

_segments = st.tuples(st.integers(0, 8), st.integers(1, 10)).map(lambda p: (float(p[0]), float(p[0] + p[1])))


def annotations() -> st.SearchStrategy[Truth]:
    rows = st.tuples(st.sampled_from(VIDEOS), _segments, st.sampled_from(CLASSES))
    return st.lists(rows.map(lambda r: (r[0], *r[1], r[2])), min_size=1, max_size=10)


def detections(*, distinct_scores: bool = False) -> st.SearchStrategy[Found]:
    rows = st.tuples(st.sampled_from(VIDEOS), _segments, st.sampled_from(CLASSES))
    many = st.lists(rows, max_size=25)
    if distinct_scores:
        return st.tuples(many, st.permutations(range(25))).map(
            lambda p: [(v, *s, label, (rank + 1) / 32) for (v, s, label), rank in zip(p[0], p[1], strict=False)]
        )
    scores = st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=25, max_size=25)
    return st.tuples(many, scores).map(
        lambda p: [(v, *s, label, score) for (v, s, label), score in zip(p[0], p[1], strict=False)]
    )
