"""Windows of a video put together again: times, borders, one detection where two windows saw one action."""

from __future__ import annotations

import pytest
import torch

from trainables.layers.nms import suppress
from trainables.layers.windows import Windows
from trainables.records import RawOutput


def _window(video: str, start_s: float, *, num_samples: int = 10, duration_s: float = 20.0) -> RawOutput:
    return RawOutput(video, start_s, 0.5, num_samples, duration_s, {})


#: two windows of 5 s over a video of 20 s that overlap by half, its last window, and a video of one window
WINDOWS = Windows.of(
    [
        _window("a", 0.0),
        _window("a", 2.5),
        _window("b", 0.0, num_samples=8, duration_s=4.2),
        _window("a", 15.0),
    ]
)


def test_videos_are_numbered_by_their_first_window() -> None:
    assert WINDOWS.video_ids == ("a", "b")
    assert WINDOWS.video.tolist() == [0, 0, 1, 0]


def test_times_are_those_of_the_video_and_end_with_it() -> None:
    grid = torch.tensor([[1.0, 3.0], [1.0, 3.0], [-2.0, 9.0], [8.0, 12.0], [11.0, 12.0]])
    times = WINDOWS.seconds(grid, torch.tensor([0, 1, 2, 3, 3]))
    assert times.dtype == torch.float64
    assert times.tolist() == [[0.5, 1.5], [3.0, 4.0], [0.0, 4.2], [19.0, 20.0], [20.0, 20.0]]


@pytest.mark.parametrize(
    ("window", "ends", "margin", "cut"),
    [
        (0, (0.0, 4.0), 0.0, False),  # the beginning of the video
        (0, (4.0, 10.0), 0.0, True),
        (0, (4.0, 9.9), 0.0, False),
        (0, (4.0, 9.9), 0.2, True),
        (1, (0.0, 4.0), 0.0, True),
        (1, (0.1, 9.9), 0.0, False),
        (1, (0.1, 9.9), 0.1, True),
        (2, (0.0, 8.0), 0.0, False),  # 0.2 s of the video are no whole sample
        (3, (3.0, 10.0), 0.0, False),  # the end of the video
        (3, (-1.0, 4.0), 0.0, True),
    ],
)
def test_inner_borders_cut(window: int, ends: tuple[float, float], margin: float, cut: bool) -> None:
    found = WINDOWS.cut_short(torch.tensor([ends], dtype=torch.float64), torch.tensor([window]), margin=margin)
    assert found.tolist() == [cut]


def test_one_action_seen_by_two_windows_is_one_detection() -> None:
    # 3 s to 4 s of video a in both windows, one more certain; a far one; the same times in video b
    grid = torch.tensor([[6.0, 8.0], [1.0, 3.0], [4.0, 6.0], [6.0, 8.0]])
    window = torch.tensor([0, 1, 3, 2])
    scores = torch.tensor([0.1234561, 0.1234562, 0.5, 0.3], dtype=torch.float64)
    kept, final = suppress(
        WINDOWS.seconds(grid, window), scores, WINDOWS.video[window], decay="hard", tiou_threshold=0.9
    )
    assert kept.tolist() == [2, 1, 3]
    assert final.tolist() == [0.5, 0.1234562, 0.3]


def test_disagreeing_windows_are_named() -> None:
    with pytest.raises(ValueError, match=r"window 1: video a lasts 21.0 s, an earlier window says 20.0 s"):
        Windows.of([_window("a", 0.0), _window("a", 2.5, duration_s=21.0)])
    with pytest.raises(ValueError, match="window 0: seconds per sample 0.0"):
        Windows.of([RawOutput("a", 0.0, 0.0, 10, 5.0, {})])
