"""From raw outputs of PBRNet to detections, by hand."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.detectors.pbrnet.config import Config
from trainables.detectors.pbrnet.detect import detect_segments
from trainables.detectors.pbrnet.settings import Infer, Match
from trainables.entrypoints.raw_outputs import read_raw, write_raw
from trainables.records import RawOutput

#: Probabilities of background and two classes, start and end probability, segment in samples.
ROWS = (
    ((0.1, 0.8, 0.1), (0.5, 0.9), (4.0, 8.0)),
    ((0.2, 0.6, 0.2), (1.0, 1.0), (4.5, 8.5)),
    ((0.995, 0.004, 0.001), (1.0, 1.0), (20.0, 30.0)),
    ((0.3, 0.1, 0.6), (0.2, 0.4), (10.0, 12.0)),
)


def window(
    video: str = "a", start_s: float = 0.0, duration_s: float = 100.0, rows: tuple = ROWS, coarse: float = 0.0
) -> RawOutput:
    probs, ends, segments = (torch.tensor([row[k] for row in rows]) for k in range(3))
    tensors = {
        "class_logits": probs.log() + 3.0,
        "coarse_background": torch.full((len(rows),), coarse),
        "segments": segments,
        "boundary_probs": ends,
    }
    return RawOutput(video, start_s, 0.5, 32, duration_s, tensors)


def with_infer(**values: object) -> Config:
    return Config(infer=Infer(score_thresh=0.01, **values))  # type: ignore[arg-type]


def rows_of(found: object) -> list[tuple[int, int, float, float, float]]:
    return [
        (int(v), int(k), round(float(s), 3), round(float(e), 3), round(float(p), 5))
        for v, k, (s, e), p in zip(found.video, found.labels, found.segments_s, found.scores, strict=True)  # type: ignore[attr-defined]
    ]


def test_scores_times_seconds_and_suppression() -> None:
    """Class 0: 0.8 x 0.7 = 0.56 and 0.6 x 1; the better one stands and suppresses the other (tIoU 7/9)."""
    assert rows_of(detect_segments([window(start_s=10.0)], with_infer())) == [
        (0, 0, 12.25, 14.25, 0.6),
        (0, 1, 12.25, 14.25, 0.2),
        (0, 1, 15.0, 16.0, 0.18),
        (0, 0, 15.0, 16.0, 0.03),
    ]
    assert rows_of(detect_segments([window(start_s=10.0)], with_infer(pbr_score="rpd", top=2))) == [
        (0, 0, 12.0, 14.0, 0.8),
        (0, 1, 15.0, 16.0, 0.6),
    ]
    both = detect_segments([window()], with_infer(pbr_nms=7 / 9 + 1e-9))
    assert sum(row[1] == 0 and row[2] < 3 for row in rows_of(both)) == 2


def test_soft_suppression_weakens_what_overlaps_by_more_than_the_threshold() -> None:
    found = rows_of(detect_segments([window()], with_infer(soft_nms_sigma=0.5)))
    weakened = 0.56 * math.exp(-((7 / 9) ** 2) / 0.5)
    assert (0, 0, 2.0, 4.0, round(weakened, 5)) in found
    assert (0, 0, 5.0, 6.0, 0.03) in found  # overlaps nothing


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (with_infer(), True),
        (with_infer(reject_bg_prob=0.95), False),
        (dataclasses.replace(with_infer(), match=Match(reject_bg_prob=0.95)), False),
    ],
)
def test_what_the_coarse_step_calls_background_is_gone(config: Config, kept: bool) -> None:
    found = detect_segments([window("a", coarse=0.97), window("b", coarse=0.9)], config)
    assert found.video_ids == ("a", "b")
    assert set(found.video.tolist()) == ({0, 1} if kept else {1})
    assert all(row[2] != 10.0 for row in rows_of(found)), "RPD calls the third segment background"


def test_windows_of_a_video_are_one() -> None:
    """The same action in two windows is one detection; the windows of another video stay apart."""
    second = tuple((p, b, (s - 10, e - 10)) for p, b, (s, e) in ROWS)
    windows = [window("a"), window("b"), window("a", start_s=5.0, rows=second)]
    found = detect_segments(windows, with_infer())
    single = rows_of(detect_segments([window("a")], with_infer()))
    assert [row[1:] for row in rows_of(found) if row[0] == 0] == [row[1:] for row in single]
    assert [row[1:] for row in rows_of(found) if row[0] == 1] == [row[1:] for row in single]


def test_segments_are_cut_to_their_video_and_empty_ones_left_out() -> None:
    rows = (
        ((0.1, 0.8, 0.1), (1.0, 1.0), (-3.0, 8.0)),
        ((0.1, 0.1, 0.8), (1.0, 1.0), (9.0, 40.0)),
        ((0.1, 0.8, 0.1), (1.0, 1.0), (14.0, 13.0)),
        ((0.1, 0.8, 0.1), (1.0, 1.0), (30.0, 35.0)),
    )
    found = rows_of(detect_segments([window(rows=rows, duration_s=10.0)], with_infer()))
    assert found == [(0, 0, 0.0, 4.0, 0.8), (0, 1, 4.5, 10.0, 0.8), (0, 0, 4.5, 10.0, 0.1), (0, 1, 0.0, 4.0, 0.1)]


def test_stored_outputs_give_the_same_detections(tmp_path: Path) -> None:
    raw = [window("a"), window("b", start_s=3.0)]
    path = tmp_path / "raw.parquet"
    write_raw(path, raw)
    first, second = (detect_segments(part, Config()) for part in (raw, read_raw(path)))
    assert len(first.scores) > 4
    assert np.array_equal(first.segments_s, second.segments_s)
    assert np.array_equal(first.scores, second.scores)
    assert detect_segments([], Config()).video_ids == ()
