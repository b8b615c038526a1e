"""From raw outputs of SP-TAD to detections, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainables.detections import Detections
from trainables.detectors.sp_tad.config import Config
from trainables.detectors.sp_tad.detect import detect_segments
from trainables.detectors.sp_tad.settings import Infer
from trainables.entrypoints.raw_outputs import read_raw, write_raw
from trainables.records import RawOutput

#: Probabilities of three classes and segment in samples.
ROWS = (
    ((0.9, 0.4, 0.001), (4.0, 8.0)),
    ((0.8, 0.002, 0.003), (4.5, 8.5)),
    ((0.01, 0.02, 0.7), (-3.0, 70.0)),
)


def clip(video: str = "a", start_s: float = 0.0, act: Any = None, rows: Any = ROWS) -> RawOutput:
    tensors = {
        "class_logits": torch.tensor([row[0] for row in rows]).logit(),
        "segments": torch.tensor([row[1] for row in rows]),
    }
    if act is not None:
        tensors["act_probs"] = torch.tensor(act)
    return RawOutput(video, start_s, 0.5, 64, 100.0, tensors)


def found(raw: list[RawOutput], **values: Any) -> list[tuple[int, int, float, float, float]]:
    return rows_of(detect_segments(raw, Config(infer=Infer(**values))))


def rows_of(detections: Detections) -> list[tuple[int, int, float, float, float]]:
    return [
        (int(v), int(k), round(float(s), 3), round(float(e), 3), round(float(p), 5))
        for v, k, (s, e), p in zip(
            detections.video, detections.labels, detections.segments_s, detections.scores, strict=True
        )
    ]


def test_the_best_pairs_of_a_clip_in_seconds() -> None:
    """As many pairs as proposals: 0.9, 0.8 and 0.7; the last segment is cut to the clip."""
    expected = [(0, 0, 12.0, 14.0, 0.9), (0, 0, 12.25, 14.25, 0.8), (0, 2, 10.0, 42.0, 0.7)]
    assert found([clip(start_s=10.0)], nms_sigma=None) == expected
    assert found([clip(start_s=10.0)], nms_sigma=None, top_pairs=4)[3:] == [(0, 1, 12.0, 14.0, 0.4)]
    assert found([clip(start_s=10.0)], nms_sigma=None, max_detections=2) == expected[:2]
    assert found([clip(start_s=10.0)], nms_sigma=None, score_threshold=0.75) == expected[:2]
    assert len(found([clip()], nms_sigma=None, top_pairs=100, score_threshold=0.0)) == 9


def test_the_clips_classes_are_multiplied_in() -> None:
    act = (0.5, 1.0, 0.25)
    assert [row[4] for row in found([clip(act=act)], nms_sigma=None)] == [0.45, 0.4, 0.4]
    squared = found([clip(act=act)], nms_sigma=None, act_score_power=2.0)
    assert [(row[1], row[4]) for row in squared] == [(1, 0.4), (0, 0.225), (0, 0.2)]
    unused = found([clip(act=act)], nms_sigma=None, act_score_power=0.0)
    assert unused == found([clip()], nms_sigma=None)


def test_soft_suppression_over_the_clips_of_a_video_and_class() -> None:
    weakened = round(0.8 * math.exp(-((7 / 9) ** 2) / 0.5), 5)
    assert found([clip()]) == [(0, 0, 2.0, 4.0, 0.9), (0, 2, 0.0, 32.0, 0.7), (0, 0, 2.25, 4.25, weakened)]
    # the same action in another clip of the video is the same action; in another video it is not
    moved = tuple((p, (s - 20, e - 20)) for p, (s, e) in ROWS)
    both = found([clip(), clip("b"), clip(start_s=10.0, rows=moved)], nms_min_score=0.2)
    own = [(0, 0, 2.0, 4.0), (0, 2, 0.0, 32.0), (0, 2, 10.0, 35.0), (0, 0, 2.25, 4.25)]
    assert [row[:4] for row in both if row[0] == 0] == own, "0.9 exp(-2) and what is below it are dropped"
    assert len([row for row in both if row[0] == 1]) == 3


def test_what_is_empty_after_cutting_is_left_out() -> None:
    rows = (((0.9, 0.1, 0.1), (-4.0, 0.0)), ((0.8, 0.1, 0.1), (64.0, 90.0)), ((0.7, 0.1, 0.1), (63.0, 90.0)))
    assert found([clip(rows=rows)]) == [(0, 0, 31.5, 32.0, 0.7)]


def test_stored_outputs_give_the_same_detections(tmp_path: Path) -> None:
    raw = [clip("a", act=(0.5, 1.0, 0.25)), clip("b", start_s=3.0, act=(0.5, 1.0, 1e-6))]
    write_raw(tmp_path / "raw.parquet", raw)
    first, second = (detect_segments(part, Config()) for part in (raw, read_raw(tmp_path / "raw.parquet")))
    assert len(first.scores) > 4
    assert np.array_equal(first.segments_s, second.segments_s)
    assert np.array_equal(first.scores, second.scores)
    assert detect_segments([], Config()).video_ids == ()
