"""Detection mAP on examples whose results come from the official code of each protocol."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from detection_references import Case

from trainables.detections import Detections, GroundTruth
from trainables.evaluation.detection_map import ACTIVITYNET_GRID, DetectionMap
from trainables.evaluation.protocols import ActivityNet, Thumos14Official


def _ap(protocol: DetectionMap, found: Detections, truth: GroundTruth) -> float:
    return protocol.score(protocol.match(found, truth))["avg_map"]


def _one_video(gt: list, found: list, ambiguous: list) -> tuple[Detections, GroundTruth]:  # type: ignore[type-arg]
    return Case(
        ("v",), [("v", *g, 0) for g in gt], [("v", s, e, 0, p) for s, e, p in found], [("v", *a) for a in ambiguous]
    ).arrays()


GOLDEN = [
    ("order", [(0, 10), (20, 30)], [(0, 10, 0.9), (100, 110, 0.8), (20, 30, 0.7)], [], 0.833333, 0.833333),
    ("miss first", [(0, 10), (20, 30)], [(100, 110, 0.9), (0, 10, 0.8), (20, 30, 0.7)], [], 0.666667, 0.583333),
    ("better but less sure", [(0, 10)], [(0, 6, 0.9), (0, 9, 0.5)], [], 1.0, 0.5),
    ("exactly at the threshold", [(10, 20)], [(10, 15, 0.9)], [], 1.0, 0.0),
    ("ambiguous", [(0, 10)], [(55, 70, 0.9), (0, 10, 0.8)], [(50, 60)], 0.5, 1.0),
    ("second best is too far", [(0, 10), (5, 15)], [(2, 12, 0.9), (1, 11, 0.8)], [], 0.5, 1.0),
    ("second best reaches", [(0, 10), (5, 15)], [(2, 12, 0.9), (2.4, 12.4, 0.8)], [], 1.0, 1.0),
    ("twice", [(0, 10)], [(0, 10, 0.9), (0, 10, 0.8)], [], 1.0, 1.0),
    ("late hit", [(0, 10), (20, 30)], [(0, 9.2, 0.9), (0, 10, 0.8), (20.7, 30, 0.7)], [], 0.833333, 0.583333),
    ("a hit that touches an ambiguous one stays", [(0, 10)], [(0, 10, 0.9)], [(9, 12)], 1.0, 1.0),
]


@pytest.mark.parametrize(("name", "gt", "found", "ambiguous", "anet", "th14"), GOLDEN, ids=[g[0] for g in GOLDEN])
def test_golden(name: str, gt: list, found: list, ambiguous: list, anet: float, th14: float) -> None:  # type: ignore[type-arg]
    data = _one_video(gt, found, ambiguous)
    assert _ap(ActivityNet((0.5,)), *data) == pytest.approx(anet, abs=1e-6)
    assert _ap(Thumos14Official((0.5,)), *data) == pytest.approx(th14, abs=1e-6)


def test_the_grid_is_the_official_one_bit_for_bit() -> None:
    assert ACTIVITYNET_GRID[8] == 0.8999999999999999
    protocol = ActivityNet()
    scores = protocol.score(protocol.match(*_one_video([(0, 10)], [(0, 9, 0.5)], [])))
    assert [scores[n] for n in protocol.metric_names()[:-1]] == [1.0] * 9 + [0.0]
    assert scores["avg_map"] == pytest.approx(0.9)


def test_a_tiou_is_the_official_one_to_the_last_bit() -> None:
    # 0.3 / 0.6: one half by the hull; 0.5000000000000001 by the sum of the lengths
    data = _one_video([(0.0, 0.6)], [(0.0, 0.3, 0.9)], [])
    assert _ap(Thumos14Official((0.5,)), *data) == 0.0
    assert _ap(ActivityNet((0.5000000000000001,)), *data) == 1.0


def test_equal_scores_in_the_toolkit_go_by_video_name() -> None:
    case = Case(("b", "a"), [("b", 0, 10, 0)], [("b", 0, 10, 0, 0.5), ("a", 0, 10, 0, 0.5)])
    assert _ap(Thumos14Official((0.5,)), *case.arrays()) == 0.5
    assert _ap(ActivityNet((0.5,)), *case.arrays()) == 1.0


def test_detections_on_videos_nobody_annotated() -> None:
    found, _ = Case(("b", "a"), [], [("b", 10, 20, 0, 0.9), ("a", 10, 20, 0, 0.8)]).arrays()
    _, truth = Case(("a",), [("a", 10, 20, 0)], []).arrays()
    assert _ap(ActivityNet((0.5,), on_unknown_video="count"), found, truth) == 0.5
    assert _ap(ActivityNet((0.5,), on_unknown_video="drop"), found, truth) == 1.0
    assert _ap(Thumos14Official((0.5,), on_unknown_video="count"), found, truth) == 0.5
    with pytest.raises(ValueError, match="video 'b' is not in the ground truth"):
        ActivityNet((0.5,)).match(found, truth)


@pytest.mark.parametrize("protocol", [ActivityNet(), Thumos14Official()], ids=lambda p: p.key)
def test_perfect_predictions_on_real_annotations(test_data: Path, protocol: DetectionMap) -> None:
    database = json.loads((test_data / "thumos14" / "thumos14.json").read_text())["database"]
    videos = {v: e["annotations"] for v, e in database.items() if e["subset"] == "Test"}
    rows = [(v, *map(float, a["segment"]), a["label"]) for v, entry in videos.items() for a in entry]
    names = sorted({row[3] for row in rows})
    gt = [(v, s, e, names.index(label)) for v, s, e, label in rows]
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 1, len(rows))).tolist()
    case = Case(tuple(videos), gt, [(*row, p) for row, p in zip(gt, scores, strict=True)], num_classes=len(names))
    assert len(names) == 20
    assert len(rows) > 3000
    assert set(protocol.score(protocol.match(*case.arrays())).values()) == {1.0}
