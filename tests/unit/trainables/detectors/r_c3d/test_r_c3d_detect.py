"""From stored outputs to detections."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.detections import Detections
from trainables.detectors.r_c3d.config import Config
from trainables.detectors.r_c3d.detect import detect_segments
from trainables.detectors.r_c3d.settings import Infer
from trainables.entrypoints.raw_outputs import read_raw, write_raw
from trainables.records import RawOutput

FAR = 40.0


def window(
    segments: list[tuple[float, float, int, float]],
    *,
    video: str = "a",
    start_s: float = 0.0,
    num_samples: int = 100,
    duration_s: float = 100.0,
    offsets: tuple[float, float] = (0.0, 0.0),
    padding: int = 2,
) -> RawOutput:
    """Regions (start, end, class from 1, its probability), the rest of which is background; K = 2."""
    logits = torch.full((len(segments) + padding, 3), -FAR, dtype=torch.float64)
    rois = torch.zeros(len(segments) + padding, 2)
    for row, (start, end, label, prob) in enumerate(segments):
        rois[row] = torch.tensor([start, end])
        logits[row, 0], logits[row, label] = math.log(1 - prob), math.log(prob)
    logits[len(segments) :, 1] = FAR  # rows beyond the count are no regions, however sure
    tensors = {
        "rois": rois,
        "logits": logits,
        "offsets": torch.tensor(offsets).expand(len(rois), 3, 2).clone(),
        "count": torch.tensor(float(len(segments))),
    }
    return RawOutput(video, start_s, 1.0, num_samples, duration_s, tensors)


def config(**infer: float | None) -> Config:
    return Config(infer=Infer(**infer))  # type: ignore[arg-type]


def rows(found: Detections) -> list[tuple[str, int, float, float, float]]:
    return [
        (found.video_ids[v], int(k), *map(float, np.round(s, 5)), round(float(p), 5))
        for v, k, s, p in zip(found.video, found.labels, found.segments_s, found.scores, strict=True)
    ]


@pytest.mark.parametrize(("threshold", "kept"), [(0.3, [0, 3]), (0.4, [0, 2, 3]), (0.9, [0, 1, 2, 3])])
@pytest.mark.parametrize("stage", ["clip_nms", "video_nms"])
def test_golden_suppression(threshold: float, kept: list[int], stage: str) -> None:
    segments = [(0.0, 10.0, 1, 0.9), (1.0, 11.0, 1, 0.8), (5.0, 15.0, 1, 0.7), (20.0, 30.0, 1, 0.6)]
    off = {"clip_nms": 1.0, "video_nms": 1.0} | {stage: threshold}
    found = rows(detect_segments([window(segments)], config(**off)))
    assert found == [("a", 0, *segments[i][:2], segments[i][3]) for i in kept]


def test_suppression_follows_the_evaluation_threshold_where_nothing_else_is_said() -> None:
    free = config(video_nms=None)
    found = [free.at_tiou(t) for t in (0.1, 0.3, 0.5, 0.7)]
    assert [own.infer.video_nms for own in found if own is not None] == [0.0, 0.2, 0.4, 0.6]
    assert dataclasses.replace(found[0], infer=free.infer) == free  # type: ignore[type-var]
    assert config(video_nms=0.4).at_tiou(0.5) is None
    assert config(video_nms=None, soft_nms_sigma=0.5).at_tiou(0.5) is None
    assert Config().at_tiou(0.5) is None
    raw = [window([(0.0, 10.0, 1, 0.9), (1.0, 11.0, 1, 0.8), (5.0, 15.0, 1, 0.7), (20.0, 30.0, 1, 0.6)])]
    alone = rows(detect_segments(raw, config(clip_nms=1.0, video_nms=None)))
    assert alone == rows(detect_segments(raw, config(clip_nms=1.0, video_nms=0.4)))
    assert alone != rows(detect_segments(raw, config(clip_nms=1.0, video_nms=0.3)))


def test_tiou_exactly_at_the_threshold_is_kept() -> None:
    segments = [(0.0, 10.0, 1, 0.9), (0.0, 5.0, 1, 0.8)]
    assert len(detect_segments([window(segments)], config(clip_nms=0.5, video_nms=0.5)).scores) == 2


def test_classes_and_windows_and_videos_do_not_suppress_each_other_before_they_should() -> None:
    first = window([(0.0, 10.0, 1, 0.9), (0.0, 10.0, 2, 0.8)])
    second = window([(0.0, 10.0, 1, 0.7)], video="b")
    assert [r[:2] for r in rows(detect_segments([first, second], config()))] == [("a", 0), ("a", 1), ("b", 0)]


def test_an_action_that_two_windows_find_is_one_detection() -> None:
    raw = [window([(60.0, 70.0, 1, 0.8)]), window([(10.0, 20.0, 1, 0.9), (40.0, 50.0, 1, 0.6)], start_s=50.0)]
    raw = [dataclasses.replace(r, duration_s=150.0) for r in raw]
    assert rows(detect_segments(raw, config())) == [("a", 0, 60.0, 70.0, 0.9), ("a", 0, 90.0, 100.0, 0.6)]


def test_what_lies_behind_the_real_end_is_cut_or_left_out() -> None:
    raw = window([(20.0, 40.0, 1, 0.9), (31.0, 50.0, 2, 0.9), (26.0, 28.0, 1, 0.5)], num_samples=30, duration_s=27.5)
    assert rows(detect_segments([raw], config())) == [("a", 0, 20.0, 27.5, 0.9), ("a", 0, 26.0, 27.5, 0.5)]


def test_regions_are_moved_by_the_offsets_of_their_class() -> None:
    """Golden: (10, 30) with dc 0.15, dl 0.0953102, divided by 0.1 and 0.2, is (12, 34); inclusive it ends at 35."""
    raw = window([(10.0, 30.0, 1, 0.9)], offsets=(1.5, 0.4765509))
    assert rows(detect_segments([raw], config())) == [("a", 0, 12.0, 34.0, 0.9)]
    raw = window([(10.0, 30.0, 1, 0.9)], offsets=(1.4285714, 0.4548589))
    legacy = dataclasses.replace(config(), legacy_inclusive=True)
    assert rows(detect_segments([raw], legacy)) == [("a", 0, 12.0, 35.0, 0.9)]


def test_classes_above_the_threshold_only() -> None:
    raw = window([(0.0, 10.0, 1, 0.06), (20.0, 30.0, 2, 0.04)])
    assert [r[1] for r in rows(detect_segments([raw], config()))] == [0]
    assert [r[1] for r in rows(detect_segments([raw], config(score_thresh=0.01)))] == [0, 1]


def test_soft_suppression_in_the_video() -> None:
    """tIoU 9/11 and 1/3 with the first pick; the second pick weakens the third once more (6/14)."""
    segments = [(0.0, 10.0, 1, 0.9), (1.0, 11.0, 1, 0.8), (5.0, 15.0, 1, 0.7)]
    found = rows(detect_segments([window(segments)], config(clip_nms=1.0, soft_nms_sigma=0.5)))
    third = 0.7 * math.exp(-((1 / 3) ** 2) / 0.5)
    second = 0.8 * math.exp(-((9 / 11) ** 2) / 0.5) * math.exp(-((6 / 14) ** 2) / 0.5)
    assert [r[2] for r in found] == [0, 5, 1]
    assert [r[4] for r in found] == pytest.approx([0.9, third, second], abs=1e-5)


def test_videos_without_detections_are_named() -> None:
    raw = [window([], video="a", padding=1), window([(0.0, 10.0, 1, 0.9)], video="b"), window([], video="c")]
    found = detect_segments(raw, config())
    assert found.video_ids == ("a", "b", "c")
    assert found.video.tolist() == [1]
    nothing = detect_segments(raw[:1], config())
    assert nothing.video_ids == ("a",)
    assert nothing.segments_s.shape == (0, 2)


def test_stored_outputs_give_the_same_detections(tmp_path: Path) -> None:
    raw = [window([(0.0, 10.0, 1, 0.9), (5.0, 30.0, 2, 0.4)]), window([], video="b", padding=1)]
    write_raw(tmp_path / "raw.parquet", raw)
    assert rows(detect_segments(read_raw(tmp_path / "raw.parquet"), config())) == rows(detect_segments(raw, config()))
