"""From candidates to detections: hard suppression against a loop, classes that count, seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.scored import ScoredSegments, likely_classes, suppress_hard, to_detections, whole_videos
from trainables.records import RawOutput


def candidates(rows: list[tuple[int, int, float, float, float]]) -> ScoredSegments:
    """From (video, label, score, start, end)."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
    return ScoredSegments(table[:, 0].long(), table[:, 1].long(), table[:, 2], table[:, 3:])


def raw(video_id: str, **changes: float) -> RawOutput:
    values = {"start_s": 2.0, "seconds_per_sample": 0.5, "num_samples": 20, "duration_s": 11.0, **changes}
    return RawOutput(video_id=video_id, tensors={}, **values)  # type: ignore[arg-type]


def test_classes_above_the_threshold_or_the_best() -> None:
    assert likely_classes(torch.tensor([0.5, 0.1, 0.4]), 0.1).tolist() == [0, 2]
    assert likely_classes(torch.tensor([0.05, 0.09, 0.08]), 0.1).tolist() == [1]


def test_segments_at_the_threshold_stay_and_above_it_go() -> None:
    # [0, 7) and [3, 10): intersection 4, union 10
    at = candidates([(0, 0, 0.9, 0, 7), (0, 0, 0.8, 3, 10)])
    assert suppress_hard(at, 0.4).score.tolist() == [0.9, 0.8]
    above = candidates([(0, 0, 0.9, 0, 7), (0, 0, 0.8, 2.99, 9.99)])
    assert suppress_hard(above, 0.4).score.tolist() == [0.9]


def test_videos_and_classes_do_not_suppress_each_other() -> None:
    same = [(video, label, 0.5, 1.0, 4.0) for video in range(2) for label in range(3)]
    assert len(suppress_hard(candidates(same), 0.4).score) == 6


def slow_hard(rows: list[tuple[int, int, float, float, float]], threshold: float) -> list[tuple[float, ...]]:
    left, kept = sorted(rows, key=lambda r: -r[2]), []
    while left:
        best, rest = left[0], left[1:]
        kept.append(best)
        left = []
        for other in rest:
            inter = max(0.0, min(best[4], other[4]) - max(best[3], other[3]))
            union = best[4] - best[3] + other[4] - other[3] - inter
            if best[:2] != other[:2] or inter / union <= threshold:
                left.append(other)
    return sorted(kept)


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(-40, 40), st.integers(0, 60), st.integers(1, 30)),
        max_size=25,
        unique_by=lambda row: row[2],
    ),
    st.sampled_from([0.2, 0.4, 0.7]),
)
def test_suppression_against_a_loop_with_scores_of_any_sign(
    drawn: list[tuple[int, int, int, int, int]], threshold: float
) -> None:
    rows = [(video, label, score / 20, float(start), float(start + size)) for video, label, score, start, size in drawn]
    kept = suppress_hard(candidates(rows), threshold)
    columns = zip(kept.video.tolist(), kept.label.tolist(), kept.score.tolist(), *kept.ends.T.tolist(), strict=True)
    assert sorted(columns) == slow_hard(rows, threshold)


def test_detections_are_in_seconds_inside_the_video_best_first() -> None:
    found = to_detections(
        ("a", "b"),
        [raw("a"), raw("b", start_s=0.0, duration_s=3.0)],
        candidates(
            [
                (0, 1, -0.5, 2, 6),
                (0, 0, 0.7, 10, 40),
                (0, 2, 0.1, 30, 40),  # after the end: nothing is left
                (1, 0, 0.2, -3, 4),
                (1, 0, 0.3, 0, 2),
            ]
        ),
        top=200,
    )
    assert found.video.tolist() == [0, 0, 1, 1]
    assert found.segments_s.tolist() == [[7.0, 11.0], [3.0, 5.0], [0.0, 1.0], [0.0, 2.0]]
    assert found.scores.tolist() == [0.7, -0.5, 0.3, 0.2]
    assert found.labels.tolist() == [0, 1, 0, 0]


def test_the_best_of_each_video_are_kept() -> None:
    rows = [(video, 0, float(score), 2.0 * score, 2.0 * score + 1) for video in range(2) for score in range(5)]
    found = to_detections(("a", "b"), [raw("a"), raw("b")], candidates(rows), top=2)
    assert found.scores.tolist() == [4.0, 3.0, 4.0, 3.0]


def test_no_candidates_at_all() -> None:
    found = to_detections(("a",), [raw("a")], suppress_hard(ScoredSegments.of_all([]), 0.4), top=5)
    assert found.video_ids == ("a",)
    assert found.segments_s.shape == (0, 2)
    assert found.scores.dtype == np.float64


def test_a_video_in_pieces_is_refused() -> None:
    with pytest.raises(ValueError, match="clean_net reads whole videos; 'b' has more than one input"):
        whole_videos([raw("a"), raw("b"), raw("b")], "clean_net")
