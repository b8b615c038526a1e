"""Detection mAP on examples whose results come from the official code of each protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detection_references import Case, mean_ap

from trainables.detections import Detections, GroundTruth
from trainables.evaluation.detection.detection_map import ACTIVITYNET_GRID, DetectionMap
from trainables.evaluation.detection.protocols import ActivityNet, Afsd, OpenTad, Thumos14Official, Wtalc


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


LATE = ([(0, 10), (20, 30)], [(0, 9.2, 0.9), (0, 10, 0.8), (20.7, 30, 0.7)])


def test_a_late_hit_at_other_thresholds_and_on_average() -> None:
    data = _one_video(*LATE, [])
    assert _ap(ActivityNet((0.95,)), *data) == pytest.approx(0.25)
    assert _ap(Thumos14Official((0.95,)), *data) == pytest.approx(0.25)
    assert _ap(ActivityNet(), *data) == pytest.approx(0.775)


def test_a_miss_counts_unless_it_touches_an_ambiguous_segment() -> None:
    found = [*LATE[1], (40, 50, 0.85)]
    assert _ap(Thumos14Official((0.5,)), *_one_video(LATE[0], found, [])) == pytest.approx(0.416667, abs=1e-6)
    assert _ap(Thumos14Official((0.5,)), *_one_video(LATE[0], found, [(45, 60)])) == pytest.approx(0.583333, abs=1e-6)


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


def test_outsiders_are_misses_for_opentad_and_nothing_for_afsd() -> None:
    found, _ = Case(("b", "a"), [], [("b", 10, 20, 0, 0.9), ("a", 10, 20, 0, 0.8)]).arrays()
    _, truth = Case(("a",), [("a", 10, 20, 0)], []).arrays()
    assert _ap(OpenTad((0.5,)), found, truth) == 0.5
    assert _ap(Afsd((0.5,)), found, truth) == 1.0
    assert Afsd((0.5,)).match(found, truth).warnings == {"unknown_video_detections_dropped": 1}


def test_detections_on_videos_without_any_instance() -> None:
    case = Case(("a", "bare"), [("a", 10, 20, 0)], [("bare", 10, 20, 0, 0.9), ("a", 10, 20, 0, 0.8)])
    assert _ap(ActivityNet((0.5,)), *case.arrays()) == 0.5
    assert _ap(Afsd((0.5,)), *case.arrays()) == 1.0
    matches = Afsd((0.5,)).match(*case.arrays())
    assert matches.video_ids == ("a",)
    assert matches.warnings == {"videos_without_instances_left_out": 1, "unknown_video_detections_dropped": 1}


def test_near_duplicates_count_once_for_opentad_alone() -> None:
    gt = [(0, 10), (0.0009, 10.0009), (0.0018, 10), (0, 10.0015)]  # the third is near a dropped one, not a kept one
    data = _one_video(gt, [(0, 10, 0.9)], [])
    assert _ap(ActivityNet((0.5,)), *data) == pytest.approx(1 / 4)
    assert _ap(OpenTad((0.5,)), *data) == pytest.approx(1 / 3)
    assert OpenTad((0.5,)).match(*data).warnings["near_duplicate_instances_left_out"] == 1


def test_instances_without_length_are_left_out_by_opentad_and_refused_by_the_others() -> None:
    data = _one_video([(0, 10), (5, 5)], [(0, 10, 0.9)], [])
    assert _ap(OpenTad((0.5,)), *data) == 1.0
    assert OpenTad((0.5,)).match(*data).warnings == {"instances_without_length_left_out": 1}
    with pytest.raises(ValueError, match="row 1 has no length"):
        ActivityNet((0.5,)).match(*data)


def test_wtalc_takes_the_first_instance_that_fits_on_whole_snippets() -> None:
    first_fits = _one_video([(0, 16), (3.2, 16)], [(3.2, 16, 0.9), (0, 16, 0.8)], [])
    assert _ap(Wtalc((0.75,)), *first_fits) == 1.0  # 20 of 25 snippets for the first, then again for the second
    assert _ap(Wtalc((0.9,)), *first_fits) == 1.0  # now each fits its own only
    greedy = _one_video([(0, 16), (3.2, 16)], [(3.2, 16, 0.9), (0, 12.8, 0.8)], [])
    assert _ap(Wtalc((0.8,)), *greedy) == 0.5  # the sure one takes the first, though the second is its own
    assert _ap(ActivityNet((0.8,)), *greedy) == 1.0
    rounded = _one_video([(0, 1.0)], [(0.0, 1.55, 0.9)], [])  # snippets 0-1 and 0-1: 1.0 s is 1.56, 1.55 s is 2.42
    assert _ap(Wtalc((0.95,)), *rounded) == 1.0
    assert _ap(ActivityNet((0.95,)), *rounded) == 0.0


def test_wtalc_deletes_even_true_ones_that_touch_an_ambiguous_segment() -> None:
    data = _one_video([(0, 10), (20, 30)], [(0, 10, 0.9), (20, 30, 0.8)], [(9, 12)])
    assert _ap(Wtalc((0.5,)), *data) == 0.5
    assert _ap(Thumos14Official((0.5,)), *data) == 1.0
    barely = _one_video([(0, 10)], [(0, 10, 0.9)], [(10.1, 12)])  # 16 snippets and those from 16 on: none is shared
    assert _ap(Wtalc((0.5,)), *barely) == 1.0


def test_excluded_videos_are_deleted_from_both_sides() -> None:
    case = Case(("a", "gone"), [("a", 0, 10, 0), ("gone", 0, 10, 0)], [("gone", 50, 60, 0, 0.9), ("a", 0, 10, 0, 0.8)])
    assert _ap(ActivityNet((0.5,)), *case.arrays()) == 0.25
    protocol = ActivityNet((0.5,), exclude_videos=("gone", "never there"))
    assert _ap(protocol, *case.arrays()) == 1.0
    assert protocol.match(*case.arrays()).warnings == {"excluded_videos": 1, "excluded_video_detections": 1}


def test_a_file_of_other_videos_or_classes_is_no_score_of_zero() -> None:
    found, _ = Case(("v_a",), [], [("v_a", 0, 10, 0, 0.9)]).arrays()
    _, truth = Case(("a",), [("a", 0, 10, 0)], []).arrays()
    for protocol in (Afsd(), OpenTad(), ActivityNet(on_unknown_video="drop")):
        with pytest.raises(ValueError, match=r"none of the 1 videos is in the ground truth.* \('v_a' and 'a'\)"):
            protocol.match(found, truth)
    other = replace(found, video_ids=("a",), labels=np.array([-1]))
    with pytest.raises(ValueError, match="no label is one of the 1 classes"):
        OpenTad().match(other, truth)


def _perfect(test_data: Path) -> Case:
    """The real test annotations of THUMOS'14, found without a fault in a random order."""
    database = json.loads((test_data / "thumos14" / "thumos14.json").read_text())["database"]
    videos = {v: e["annotations"] for v, e in database.items() if e["subset"] == "Test"}
    rows = [(v, *map(float, a["segment"]), a["label"]) for v, entry in videos.items() for a in entry]
    names = sorted({row[3] for row in rows})
    assert len(names) == 20
    assert len(rows) > 3000
    gt = [(v, s, e, names.index(label)) for v, s, e, label in rows]
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 1, len(rows))).tolist()
    return Case(tuple(videos), gt, [(*row, p) for row, p in zip(gt, scores, strict=True)], num_classes=len(names))


@pytest.mark.parametrize("protocol", [ActivityNet(), Thumos14Official(), Afsd(), OpenTad()], ids=lambda p: p.key)
def test_perfect_predictions_on_real_annotations(test_data: Path, protocol: DetectionMap) -> None:
    assert set(protocol.score(protocol.match(*_perfect(test_data).arrays())).values()) == {1.0}


def test_perfect_predictions_miss_what_is_shorter_than_a_snippet_in_wtalc(test_data: Path) -> None:
    case = _perfect(test_data)
    found, truth = case.arrays()
    whole = np.rint(truth.segments_s * 25 / 16)
    seen = whole[:, 1] > whole[:, 0]
    assert 0 < (~seen).sum() < 50
    assert _ap(Wtalc((0.5,)), found, truth) == pytest.approx(mean_ap(case, "wtalc", 0.5), abs=1e-9)
    longer = replace(truth, video=truth.video[seen], segments_s=truth.segments_s[seen], labels=truth.labels[seen])
    kept = replace(
        found, video=found.video[seen], segments_s=found.segments_s[seen], labels=found.labels[seen],
        scores=found.scores[seen],
    )  # fmt: skip
    assert _ap(Wtalc((0.5,)), kept, longer) == 1.0
