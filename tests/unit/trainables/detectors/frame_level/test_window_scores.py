"""Logits of inputs become scores of the samples of whole videos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.detectors.frame_level.scores import frame_scores
from trainables.records import RawOutput


def _raw(video: str, first: int, logits: list[float], *, padding: int = 0, step: float = 0.4) -> RawOutput:
    """An input of one class that begins at sample ``first`` of a video whose grid begins at 0.1 s."""
    values = torch.tensor([*logits, *[99.0] * padding])[:, None]
    return RawOutput(video, 0.1 + first * step, step, len(logits), 60.0, {"frame_logits": values})


def test_whole_videos_keep_their_logits() -> None:
    found = frame_scores([_raw("b", 0, [1.0, -800.0, 800.0], padding=2), _raw("a", 0, [4.0])])
    assert found.video_ids == ("b", "a")
    assert found.first_frame.tolist() == [0, 3, 4]
    assert found.scores.tolist() == [[1.0], [-800.0], [800.0], [4.0]]
    assert found.times_s == pytest.approx([0.3, 0.7, 1.1, 0.3])


def _sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


@given(
    offsets=st.lists(st.integers(0, 4), max_size=4),
    values=st.lists(st.floats(-8, 8), min_size=60, max_size=60),
    turned=st.booleans(),
)
def test_windows_merge_by_mean_probability(offsets: list[int], values: list[float], turned: bool) -> None:
    starts = np.cumsum([0, *offsets]).tolist()
    windows = [(s, values[12 * i : 12 * i + 5]) for i, s in enumerate(starts)]
    raw = [_raw("v", s, logits) for s, logits in (windows[::-1] if turned else windows)]
    found = frame_scores(raw)
    for sample in range(starts[-1] + 5):
        shown = [np.float32(logits[sample - s]) for s, logits in windows if 0 <= sample - s < 5]
        mean = np.mean([_sigmoid(float(x)) for x in shown])
        assert _sigmoid(found.scores[sample, 0]) == pytest.approx(mean, abs=1e-9)
        if len(shown) == 1:
            assert found.scores[sample, 0] == shown[0], "to the bit"
    assert len(found.scores) == starts[-1] + 5


def test_windows_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(
        ValueError, match="no window shows sample 2 of video 'v' \\(1 such samples\\); lower the stride"
    ):
        frame_scores([_raw("v", 0, [0.0, 1.0]), _raw("v", 3, [2.0])])
    other = RawOutput("v", 0.35, 0.4, 1, 60.0, {"frame_logits": torch.zeros(1, 1)})
    with pytest.raises(ValueError, match="'v' do not lie on one grid"):
        frame_scores([_raw("v", 0, [0.0, 1.0]), other])
    with pytest.raises(ValueError, match="'v' do not lie on one grid"):
        frame_scores([_raw("v", 0, [0.0]), _raw("v", 1, [0.0], step=0.5)])
