"""Detection mAP of both protocols: golden examples, a slow reference, weights, bad input, real annotations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from detection_references import Found, Truth, activitynet_ap, thumos14_ap
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.detections import Detections, GroundTruth
from trainables.evaluation.protocols import ACTIVITYNET_GRID, ActivityNet, Thumos14Official
from trainables.evaluation.results import read_activitynet_json, write_activitynet_json

BOTH = (ActivityNet, Thumos14Official)


def make(truth: Truth, found: Found, ambiguous: Truth | None = None) -> tuple[Detections, GroundTruth]:
    """One class."""
    ids = tuple(sorted(truth))
    index = {v: i for i, v in enumerate(ids)}
    rows = [(index[v], *s) for v, segments in truth.items() for s in segments]
    extra = [(index[v], *s) for v, segments in (ambiguous or {}).items() for s in segments]
    detections = Detections(
        video_ids=ids,
        video=np.array([index[d[0]] for d in found], np.int64),
        segments_s=np.array([d[1:3] for d in found], np.float64).reshape(-1, 2),
        labels=np.zeros(len(found), np.int64),
        scores=np.array([d[3] for d in found], np.float64),
    )
    gt = GroundTruth(
        video_ids=ids,
        class_names=("c",),
        video=np.array([r[0] for r in rows], np.int64),
        segments_s=np.array([r[1:] for r in rows], np.float64).reshape(-1, 2),
        labels=np.zeros(len(rows), np.int64),
        ambiguous_video=np.array([e[0] for e in extra], np.int64),
        ambiguous_s=np.array([e[1:] for e in extra], np.float64).reshape(-1, 2),
    )
    return detections, gt


def _ap(protocol: ActivityNet | Thumos14Official, detections: Detections, gt: GroundTruth) -> float:
    return protocol.score(protocol.match(detections, gt))[f"map_tiou_{protocol.tiou_thresholds[0]:.2f}"]


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
]


@pytest.mark.parametrize(("name", "gt", "found", "ambiguous", "anet", "th14"), GOLDEN, ids=[g[0] for g in GOLDEN])
def test_golden(name: str, gt: list, found: list, ambiguous: list, anet: float, th14: float) -> None:  # type: ignore[type-arg]
    data = make({"v": gt}, [("v", *d) for d in found], {"v": ambiguous})
    assert _ap(ActivityNet((0.5,)), *data) == pytest.approx(anet, abs=1e-6)
    assert _ap(Thumos14Official((0.5,)), *data) == pytest.approx(th14, abs=1e-6)


def test_the_grid_is_the_official_one_bit_for_bit() -> None:
    assert ACTIVITYNET_GRID[8] == 0.8999999999999999
    protocol = ActivityNet()
    scores = protocol.score(protocol.match(*make({"v": [(0, 10)]}, [("v", 0, 9, 0.5)])))
    assert [scores[n] for n in protocol.metric_names()[:-1]] == [1.0] * 9 + [0.0]
    assert scores["avg_map"] == pytest.approx(0.9)


SEGMENT = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(lambda p: (float(p[0]), float(p[0] + p[1])))
TRUTH = st.dictionaries(st.sampled_from("abc"), st.lists(SEGMENT, max_size=4), min_size=1).filter(
    lambda t: any(t.values())
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Truth, Found, Truth]:
    truth = draw(TRUTH)
    score = st.sampled_from([0.1, 0.2, 0.5, 0.5, 0.9])  # many ties
    found = draw(st.lists(st.tuples(st.sampled_from(sorted(truth)), SEGMENT, score), max_size=14))
    ambiguous = draw(st.dictionaries(st.sampled_from(sorted(truth)), st.lists(SEGMENT, max_size=2)))
    return truth, [(v, *s, p) for v, s, p in found], ambiguous


@settings(max_examples=1500, deadline=None)
@given(case=cases(), threshold=st.sampled_from([0.1, 0.3, 0.5, 0.75]))
def test_equal_to_the_textbook(case: tuple[Truth, Found, Truth], threshold: float) -> None:
    truth, found, ambiguous = case
    data = make(truth, found, ambiguous)
    assert _ap(ActivityNet((threshold,)), *data) == pytest.approx(activitynet_ap(truth, found, threshold), abs=1e-9)
    expected = thumos14_ap(truth, found, threshold, ambiguous)
    assert _ap(Thumos14Official((threshold,)), *data) == pytest.approx(expected, abs=1e-9)


def _random(seed: int, num_videos: int = 12, num_classes: int = 3) -> tuple[Detections, GroundTruth]:
    rng = np.random.default_rng(seed)
    ids = tuple(f"v{i:02d}" for i in range(num_videos))

    def rows(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        start = rng.random(n) * 50
        segments = np.stack([start, start + 1 + rng.random(n) * 10], axis=1)
        return rng.integers(0, num_videos, n), segments, rng.integers(0, num_classes, n)

    video, segments, labels = rows(60)
    gt = GroundTruth(ids, tuple("abc"[:num_classes]), video, segments, labels)
    extra_video, extra, extra_labels = rows(200)
    near = segments + rng.normal(size=segments.shape)
    near[:, 1] = np.maximum(near[:, 1], near[:, 0] + 0.1)
    found = Detections(
        ids,
        np.concatenate([video, extra_video]),
        np.concatenate([near, extra]),
        np.concatenate([labels, extra_labels]),
        rng.random(260),
    )
    return found, gt


@pytest.mark.parametrize("protocol", [ActivityNet((0.3, 0.5)), Thumos14Official((0.3, 0.5))])
def test_leaving_videos_out_by_weight_equals_leaving_them_out(protocol: ActivityNet | Thumos14Official) -> None:
    found, gt = _random(0)
    weights = np.array([1.0] * 8 + [0.0] * 4)
    weighted = protocol.score(protocol.match(found, gt), weights)
    fewer = protocol.score(
        protocol.match(
            Detections(
                found.video_ids[:8], found.video[found.video < 8], found.segments_s[found.video < 8],
                found.labels[found.video < 8], found.scores[found.video < 8],
            ),
            GroundTruth(
                gt.video_ids[:8], gt.class_names, gt.video[gt.video < 8], gt.segments_s[gt.video < 8],
                gt.labels[gt.video < 8],
            ),
        )
    )  # fmt: skip
    assert weighted == pytest.approx(fewer, abs=1e-12)


@pytest.mark.parametrize("protocol", [ActivityNet((0.3, 0.5)), Thumos14Official((0.3, 0.5))])
def test_equal_weights_change_nothing(protocol: ActivityNet | Thumos14Official) -> None:
    matches = protocol.match(*_random(1))
    assert protocol.score(matches, np.full(12, 3.0)) == pytest.approx(protocol.score(matches), abs=1e-12)


@pytest.mark.parametrize("protocol", [ActivityNet((0.3, 0.5)), Thumos14Official((0.3, 0.5))])
def test_resampling_many_at_once_equals_one_by_one(protocol: ActivityNet | Thumos14Official) -> None:
    matches = protocol.match(*_random(2))
    weights = np.random.default_rng(3).multinomial(12, [1 / 12] * 12, 40).astype(float)
    together = protocol.resample(matches, weights)
    for row, weight in zip(together, weights, strict=True):
        scores = protocol.score(matches, weight)
        assert row.tolist() == pytest.approx([scores[n] for n in protocol.metric_names()], abs=1e-12)


@pytest.mark.parametrize("protocol", [ActivityNet(), Thumos14Official()])
def test_matches_survive_a_file(tmp_path: Path, protocol: ActivityNet | Thumos14Official) -> None:
    matches = protocol.match(*_random(4))
    matches.save(tmp_path / "m.arrow")
    again = protocol.load_matches(tmp_path / "m.arrow")
    assert protocol.score(again) == protocol.score(matches)
    assert again.video_ids == matches.video_ids
    other = Thumos14Official() if isinstance(protocol, ActivityNet) else ActivityNet()
    with pytest.raises(ValueError, match="matched by"):
        other.load_matches(tmp_path / "m.arrow")


def test_classes_of_their_own() -> None:
    found, gt = _random(5)
    protocol = ActivityNet((0.3, 0.5))
    matches = protocol.match(found, gt)
    per_class = protocol.per_class_ap(matches)
    mean = np.mean([values["avg_map"] for values in per_class.values()])
    assert protocol.score(matches)["avg_map"] == pytest.approx(mean)


def _found(segment: tuple[float, float] = (0, 10), score: float = 0.5, label: int = 0, video: str = "v") -> Detections:
    return Detections((video,), np.array([0]), np.array([segment], float), np.array([label]), np.array([score]))


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (_found(segment=(10, 0)), r"detections: row 0 is \[10.0, 0.0\]"),
        (_found(score=float("nan")), "detections: row 0 has a score that is not finite"),
        (_found(label=3), "detections: row 0 has a label outside the 1 classes"),
        (_found(video="w"), "video 'w' is not in the ground truth"),
    ],
)
def test_bad_detections_are_refused_by_row(found: Detections, complaint: str) -> None:
    _, gt = make({"v": [(0, 10)]}, [])
    with pytest.raises(ValueError, match=complaint):
        ActivityNet().match(found, gt)


def test_an_annotated_segment_without_length_is_refused() -> None:
    found, gt = make({"v": [(5, 5)]}, [])
    with pytest.raises(ValueError, match="ground truth: row 0 has no length"):
        ActivityNet().match(found, gt)


def test_what_is_left_out_is_counted() -> None:
    found, gt = make({"v": [(0, 10)], "w": []}, [("v", 3, 3, 0.9), ("v", 0, 10, 0.5), ("v", 1, 10, 0.5)])
    matches = ActivityNet().match(found, gt)
    assert matches.warnings == {"empty_detections_dropped": 1, "tied_scores": 1, "videos_without_detections": 1}


def test_detections_on_videos_nobody_annotated() -> None:
    found, gt = make({"v": [(10, 20)]}, [("v", 10, 20, 0.8)])
    outside = Detections(
        ("x", "v"), np.array([0, 1]), np.array([[10, 20], [10, 20]], float), np.array([0, 0]), np.array([0.9, 0.8])
    )
    assert _ap(ActivityNet((0.5,), on_unknown_video="count"), outside, gt) == 0.5
    assert _ap(ActivityNet((0.5,), on_unknown_video="drop"), outside, gt) == 1.0
    assert _ap(ActivityNet((0.5,)), found, gt) == 1.0


def test_thresholds_that_would_share_a_name_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in the first two decimals"):
        ActivityNet((0.501, 0.502))


def test_nothing_found_scores_nothing() -> None:
    assert _ap(ActivityNet((0.5,)), *make({"v": [(0, 10)]}, [])) == 0.0


def test_result_files_round_trip_and_name_their_faults(tmp_path: Path) -> None:
    found, gt = _random(6)
    path = tmp_path / "r.json"
    write_activitynet_json(path, found, gt.class_names)
    again = read_activitynet_json(path, gt.class_names)
    protocol = ActivityNet()
    assert protocol.score(protocol.match(again, gt)) == protocol.score(protocol.match(found, gt))
    content = json.loads(path.read_text())
    content["results"]["v00"] = [{"segment": [3, 1], "label": "a", "score": 0.5}]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"r.json: video 'v00', entry 0: \[3.0, 1.0\]"):
        read_activitynet_json(path, gt.class_names)
    path.write_text("[]")
    with pytest.raises(ValueError, match="no 'results' by video id"):
        read_activitynet_json(path, gt.class_names)


@pytest.mark.parametrize("protocol", [ActivityNet((0.3, 0.5, 0.7)), Thumos14Official()])
def test_perfect_predictions_on_real_annotations(test_data: Path, protocol: ActivityNet | Thumos14Official) -> None:
    database = json.loads((test_data / "thumos14" / "thumos14.json").read_text())["database"]
    videos = {v: e["annotations"] for v, e in database.items() if e["subset"].lower() == "test"}
    rows = sorted({(v, a["label"], *map(float, a["segment"])) for v, entry in videos.items() for a in entry})
    rows = [row for row in rows if row[3] > row[2]]
    ids, names = tuple(sorted(videos)), tuple(sorted({row[1] for row in rows}))
    video = np.array([ids.index(row[0]) for row in rows])
    labels = np.array([names.index(row[1]) for row in rows])
    segments = np.array([row[2:] for row in rows], float)
    found = Detections(ids, video, segments, labels, np.linspace(1, 0.1, len(rows)))
    scores = protocol.score(protocol.match(found, GroundTruth(ids, names, video, segments, labels)))
    assert len(names) == 20
    assert set(scores.values()) == {1.0}
