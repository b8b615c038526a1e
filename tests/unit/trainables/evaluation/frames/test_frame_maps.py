"""Per-frame mAP, dense and at Charades' 25 points, against loops over single frames."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import Item, normalised_ap, plain_ap

from trainables.detections import FrameScores, GroundTruth
from trainables.evaluation.charades.official import FrameMapCharades25
from trainables.evaluation.frames.frame_map import FrameMapDense
from trainables.evaluation.frames.labels import charades_times, frame_times, label_points, nearest_frames
from trainables.evaluation.frames.scores import TimedTruth
from trainables.evaluation.precision.matches import Matches

MINUS = -np.inf


@dataclass(frozen=True)
class Video:
    """Scores (n, K) and annotated (class, start, end) of a video."""

    duration: float
    scores: list[list[float]]
    actions: list[tuple[int, float, float]]


Videos = dict[str, Video]


def _truth(videos: Videos, num_classes: int) -> TimedTruth:
    rows = [(i, *a) for i, video in enumerate(videos.values()) for a in video.actions]
    table = np.asarray(rows, np.float64).reshape(-1, 4)
    names = tuple(f"c{k}" for k in range(num_classes))
    segments = GroundTruth(
        tuple(videos), names, table[:, 0].astype(np.int64), table[:, 2:], table[:, 1].astype(np.int64)
    )
    return TimedTruth(segments, np.asarray([video.duration for video in videos.values()]))


def _arrays(videos: Videos, num_classes: int) -> tuple[FrameScores, TimedTruth]:
    rows = [np.asarray(video.scores, np.float64).reshape(-1, num_classes) for video in videos.values()]
    first = np.cumsum([0, *map(len, rows)])
    return FrameScores(tuple(videos), first, np.concatenate(rows)), _truth(videos, num_classes)


def test_golden() -> None:
    found, truth = _arrays({"v": Video(4.0, [[0.9], [0.8], [0.7], [0.6]], [(0, 0.5, 2.5)])}, 1)
    assert FrameMapDense().score(FrameMapDense().match(found, truth)) == pytest.approx(
        {"frame_map": 0.583333}, abs=1e-6
    )


def test_golden_points() -> None:
    truth = _truth({"v": Video(10.0, [], [(0, 0.4, 0.8)])}, 1)
    closed = label_points(charades_times(10.0), np.array([0, 25]), truth.segments, interval="closed")
    assert np.flatnonzero(closed[:, 0]).tolist() == [1, 2]
    opened = label_points(charades_times(10.0), np.array([0, 25]), truth.segments, interval="open")
    assert not opened.any()


def test_points_of_a_published_example() -> None:
    """Actions on [10, 26] and [60, 75] of a video of 150 s are at points 2-4 and 10-12."""
    truth = _truth({"v": Video(150.0, [], [(0, 10, 26), (1, 60, 75)])}, 2)
    labels = label_points(charades_times(150.0), np.array([0, 25]), truth.segments, interval="closed")
    assert [np.flatnonzero(labels[:, k]).tolist() for k in (0, 1)] == [[2, 3, 4], [10, 11, 12]]
    scores = np.zeros((25, 2))
    scores[[2, 3, 5, 6], 0] = [0.875, 0.9375, 0.625, 0.625]
    scores[[9, 10], 1] = 0.25
    scores[11:21, 1] = 0.75
    found = FrameScores(("v",), np.array([0, 25]), scores)
    protocol = FrameMapCharades25()
    matches = protocol.match(found, truth)
    assert protocol.score(matches)["frame_map_25"] == pytest.approx(0.779762, abs=1e-6)
    per_class = {name: values["frame_map_25"] for name, values in protocol.per_class_ap(matches).items()}
    assert per_class == pytest.approx({"c0": 17 / 21, "c1": 0.75})


def test_three_aggregates_of_25_points() -> None:
    """[2, 4] covers three points of a video of 25 s (strictly, at 1 frame a second, only one), [24, 25] covers one."""
    truth = _truth({"v": Video(25.0, [], [(0, 2, 4), (1, 24, 25)])}, 2)
    scores = np.full((25, 2), 0.1)
    scores[[2, 10, 3, 4], 0] = [0.9, 0.8, 0.7, 0.6]
    scores[[7, 24], 1] = [0.9, 0.8]
    found = FrameScores(("v",), np.array([0, 25]), scores)
    strict = label_points(np.arange(25.0), np.array([0, 25]), truth.segments, interval="open")
    assert np.flatnonzero(strict[:, 0]).tolist() == [3]
    protocol = FrameMapCharades25()
    matches = protocol.match(found, truth)
    assert matches.num_gt.tolist() == [[3, 1]]
    assert protocol.score(matches) == pytest.approx(
        {"frame_map_25": 0.652778, "frame_wap_25": 0.729167, "frame_nap_25": 0.453810}, abs=1e-6
    )
    by_class = {name: list(v.values())[:1] for name, v in protocol.per_class_ap(matches).items()}
    assert by_class == {"c0": [pytest.approx(0.805556, abs=1e-6)], "c1": [0.5]}


@settings(max_examples=300)
@given(
    number=st.integers(1, 40),
    duration=st.sampled_from([1.0, 9.7, 16.62, 31.29]),
    ends=st.tuples(st.integers(0, 80), st.integers(1, 40)),
)
def test_rules_point_by_point(number: int, duration: float, ends: tuple[int, int]) -> None:
    """Starts and ends on frames and points as often as beside them."""
    start, end = ends[0] * duration / 80, (ends[0] + ends[1]) * duration / 80
    truth = _truth({"v": Video(duration, [], [(0, start, end)])}, 1).segments
    fps = number / duration
    opened = label_points(frame_times(number, duration), np.array([0, number]), truth, interval="open")
    assert opened[:, 0].tolist() == [start < f / fps < end for f in range(number)]
    closed = label_points(charades_times(duration), np.array([0, 25]), truth, interval="closed")
    assert closed[:, 0].tolist() == [start <= j / 25 * duration <= end for j in range(25)]


@settings(max_examples=200)
@given(times=st.lists(st.integers(0, 30), min_size=1, max_size=12), points=st.lists(st.integers(-2, 66), max_size=10))
def test_the_nearest_frame_point_by_point(times: list[int], points: list[int]) -> None:
    frames = np.sort(np.asarray(times, np.float64))
    halves = np.asarray(points, np.float64) / 2
    expected = [min(range(len(frames)), key=lambda f: abs(frames[f] - p)) for p in halves]
    own = nearest_frames(frames, halves)
    assert np.abs(frames[own] - halves).tolist() == [abs(frames[f] - p) for f, p in zip(expected, halves, strict=True)]
    assert [frames[f] for f in own] == [frames[f] for f in expected]  # of two at equal distance the earlier


def test_25_frames_are_the_25_points() -> None:
    for duration in (0.7, 16.62, 31.29, 193.4):
        nearest = nearest_frames(frame_times(25, duration), charades_times(duration))
        assert nearest.tolist() == list(range(25))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Videos, int]:
    """Few scores and whole seconds, so that ties and times on frames are common; every class has an action."""
    num_classes = draw(st.integers(1, 3))
    score = st.sampled_from([0.0, 0.1, 0.5, 0.9])
    videos = {}
    for name in "abcd"[: draw(st.integers(1, 4))]:
        rows = draw(st.lists(st.lists(score, min_size=num_classes, max_size=num_classes), min_size=1, max_size=9))
        action = st.tuples(st.integers(0, num_classes - 1), st.integers(0, 10), st.integers(1, 6))
        actions = [(c, float(s), float(s + n)) for c, s, n in draw(st.lists(action, max_size=3))]
        videos[name] = Video(float(draw(st.integers(4, 12))), rows, actions)
    first = next(iter(videos))
    always = [(k, -1.0, 2.0) for k in range(num_classes)]
    videos[first] = replace(videos[first], actions=[*videos[first].actions, *always])
    return videos, num_classes


def _dense_items(videos: Videos, weights: list[int], label: int) -> list[Item]:
    items = []
    for video, weight in zip(videos.values(), weights, strict=True):
        fps = len(video.scores) / video.duration
        for f, row in enumerate(video.scores):
            positive = any(c == label and s < f / fps < e for c, s, e in video.actions)
            items.append((row[label], positive, float(weight)))
    return items


def _point_items(videos: Videos, weights: list[int], label: int) -> list[Item]:
    items = []
    for video, weight in zip(videos.values(), weights, strict=True):
        times = [f / (len(video.scores) / video.duration) for f in range(len(video.scores))]
        for j in range(25):
            t = j / 25 * video.duration
            score = MINUS
            if times:
                score = video.scores[min(range(len(times)), key=lambda f: (abs(times[f] - t), f))][label]
            positive = any(c == label and s <= t <= e for c, s, e in video.actions)
            items.append((score, positive, float(weight)))
    return items


def _nanmean(values: list[float]) -> float:
    own = [v for v in values if v == v]
    return sum(own) / len(own)


@settings(max_examples=300)
@given(case=cases(), data=st.data())
def test_dense_equals_the_loop_over_frames(case: tuple[Videos, int], data: st.DataObject) -> None:
    videos, num_classes = case
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(videos), max_size=len(videos)))
    for protocol in (FrameMapDense(), FrameMapDense(on_empty_class="exclude")):
        matches = protocol.match(*_arrays(videos, num_classes))
        for own in ([1] * len(videos), weights):
            aps = [plain_ap(_dense_items(videos, own, k)) for k in range(num_classes)]
            if all(ap != ap for ap in aps):
                with pytest.raises(ValueError, match="nothing to score"):
                    protocol.score(matches, own)
                continue
            expected = np.nan_to_num(aps).mean() if protocol.on_empty_class == "zero" else _nanmean(aps)
            assert protocol.score(matches, own)["frame_map"] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=200)
@given(case=cases(), data=st.data())
def test_25_points_equal_the_loop_over_points(case: tuple[Videos, int], data: st.DataObject) -> None:
    videos, num_classes = case
    silent = data.draw(st.sampled_from([None, *videos]))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(videos), max_size=len(videos)))
    if silent is not None:
        videos = {**videos, silent: replace(videos[silent], scores=[])}
    protocol = FrameMapCharades25()
    matches = protocol.match(*_arrays(videos, num_classes))
    for own in ([1] * len(videos), weights):
        items = [_point_items(videos, own, k) for k in range(num_classes)]
        number = [sum(weight for _, positive, weight in row if positive) for row in items]
        if not sum(number):
            continue
        aps = [plain_ap(row) for row in items]
        weighted = sum(n * ap for n, ap in zip(number, aps, strict=True) if n) / sum(number)
        expected = [_nanmean(aps), weighted, _nanmean([normalised_ap(row) for row in items])]
        assert list(protocol.score(matches, own).values()) == pytest.approx(expected, abs=1e-9)


def test_points_without_scores_rank_last_and_are_counted() -> None:
    found, truth = _arrays(
        {"a": Video(10.0, [[0.5]] * 25, [(0, 0, 0.1)]), "quiet": Video(5.0, [], [(0, 0, 5)]), "b": Video(5.0, [], [])},
        1,
    )
    found.scores[3] = MINUS
    protocol = FrameMapCharades25()
    matches = protocol.match(found, truth)
    assert matches.warnings["videos_without_scores"] == 2
    assert matches.warnings["points_without_scores"] == 51
    # first of all, then after 24 scored points and a missing one the 25 of the quiet video
    ranks = [1, *range(26, 51)]
    expected = sum((i + 1) / rank for i, rank in enumerate(ranks)) / 26
    assert protocol.score(matches)["frame_map_25"] == pytest.approx(expected)


def test_given_times_replace_even_ones() -> None:
    found, truth = _arrays({"v": Video(10.0, [[0.1], [0.9], [0.2]], [(0, 4.0, 6.0)])}, 1)
    with pytest.raises(ValueError, match="class 'c0' has no positive item"):  # frames at 0, 10/3, 20/3
        FrameMapDense().match(found, truth)
    early = replace(found, times_s=np.array([0.0, 5.0, 9.0]))
    assert FrameMapDense().match(early, truth).num_gt.tolist() == [[1]]
    late = replace(found, times_s=np.array([0.0, 6.0, 9.0]))
    with pytest.raises(ValueError, match="class 'c0' has no positive item"):
        FrameMapDense().match(late, truth)
    points = FrameMapCharades25().match(late, truth)
    assert points.num_gt.tolist() == [[6]]  # 4.0, 4.4, ... 6.0
    assert (points.score == 0.9).sum() == 11  # points nearer to the second frame: 3.2 (3 is half-way) to 7.2


def test_a_class_without_positive_frames() -> None:
    found, truth = _arrays({"v": Video(4.0, [[0.9, 0.1], [0.8, 0.2]], [(0, 1.0, 3.0)])}, 2)
    half = FrameMapDense().score(FrameMapDense().match(found, truth))["frame_map"]
    out = FrameMapDense(on_empty_class="exclude")
    assert out.score(out.match(found, truth))["frame_map"] == 2 * half == 0.5
    assert FrameMapDense().match(found, truth).warnings["classes_without_ground_truth"] == 1
    for strict in (FrameMapDense(on_empty_class="error"), FrameMapCharades25()):
        with pytest.raises(ValueError, match="class 'c1' has no positive item.*set on_empty_class"):
            strict.match(found, truth)


VIDEOS: Videos = {"a": Video(4.0, [[0.9], [0.8]], [(0, 1.0, 3.0)]), "b": Video(4.0, [[0.7], [0.6]], [(0, 1.0, 3.0)])}


def _times(*times: float) -> Any:
    return lambda f, t: (replace(f, times_s=np.asarray(times)), t)


BAD = [
    (lambda f, t: (replace(f, scores=f.scores[:, :0]), t), "does not give a score to each of 1 classes"),
    (lambda f, t: (replace(f, video_ids=("a", "a")), t), "video 'a' is listed more than once"),
    (lambda f, t: (replace(f, first_frame=np.array([0, 5, 4])), t), "first_frame must rise from 0 to 4"),
    (lambda f, t: (replace(f, scores=np.array([[1], [2], [np.nan], [3]])), t), "video 'b', frame 0 has a score that"),
    (lambda f, t: (replace(f, scores=np.array([[1], [2], [3], [np.inf]])), t), "video 'b', frame 1 has a score that"),
    (_times(0, 1, 2), r"times_s has shape \(3,\), there are 4 frames"),
    (_times(0, 1, 2, np.nan), "video 'b', frame 1 has a time that is not finite"),
    (_times(0, 1, 2, 1), "video 'b', frame 1 lies before the frame in front of it"),
    (lambda f, t: (replace(f, video_ids=("a", "x")), t), "video 'x' is not in the ground truth.*set on_unknown_video"),
    (lambda f, t: (replace(f, video_ids=("y", "x")), t), "video 'x' is not in the ground truth .2 of 2.*of one kind"),
    (lambda f, t: (f, replace(t, durations_s=np.array([4.0, 0.0]))), "durations: video 'b' lasts 0.0 s"),
    (lambda f, t: (f, replace(t, durations_s=np.array([4.0]))), r"durations: shape \(1,\) for 2 videos"),
]


@pytest.mark.parametrize(("change", "complaint"), BAD, ids=[b[1] for b in BAD])
@pytest.mark.parametrize("protocol", [FrameMapDense(), FrameMapCharades25()], ids=lambda p: p.key)
def test_what_cannot_be_scored_is_refused(protocol: Any, change: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        protocol.match(*change(*_arrays(VIDEOS, 1)))


def test_times_may_start_anew_in_every_video() -> None:
    found, truth = _arrays(VIDEOS, 1)
    timed = FrameMapDense().match(replace(found, times_s=np.array([0.0, 2.0, 0.0, 2.0])), truth)
    assert FrameMapDense().score(timed) == FrameMapDense().score(FrameMapDense().match(found, truth))


def test_dense_scores_every_frame_of_every_video() -> None:
    found, truth = _arrays(VIDEOS, 1)
    fewer = FrameScores(("a",), np.array([0, 2]), found.scores[:2])
    with pytest.raises(ValueError, match="video 'b' has none .1 such videos of 2"):
        FrameMapDense().match(fewer, truth)
    found.scores[1] = MINUS
    with pytest.raises(ValueError, match="this protocol scores every frame"):
        FrameMapDense().match(found, truth)


def test_partly_missing_points_are_refused() -> None:
    found, truth = _arrays({"v": Video(4.0, [[0.5, MINUS]], [(0, 0, 1), (1, 0, 1)])}, 2)
    with pytest.raises(ValueError, match="video 'v', frame 0 has a score that is not finite"):
        FrameMapCharades25().match(found, truth)


def test_unknown_videos_can_be_dropped() -> None:
    found, truth = _arrays(VIDEOS, 1)
    known = TimedTruth(replace(truth.segments, video_ids=("a", "c")), truth.durations_s)
    protocol = FrameMapCharades25(on_unknown_video="drop")
    assert protocol.match(found, known).warnings["unknown_videos_dropped"] == 1


def _perfect(truth: TimedTruth, number: list[int]) -> FrameScores:
    """Scores of 1 in the annotated frames of each video, 0 elsewhere."""
    first = np.cumsum([0, *number])
    times = np.concatenate([frame_times(n, float(d)) for n, d in zip(number, truth.durations_s, strict=True)])
    return FrameScores(
        truth.video_ids, first, label_points(times, first, truth.segments, interval="open").astype(np.float64)
    )


def _from_json(path: Path, subset: str, num_classes: int, first_class: int) -> TimedTruth:
    content = {k: v for k, v in json.loads(path.read_text()).items() if v["subset"] == subset}
    videos = {
        name: Video(v["duration"], [], [(int(c) - first_class, s, e) for c, s, e in v["actions"] if e > s])
        for name, v in content.items()
    }
    return _truth(videos, num_classes)


def _check_bootstrap(protocol: Any, matches: Matches) -> None:
    draws = protocol.bootstrap(matches, num_resamples=4, seed=0)
    assert draws.shape == (4, len(protocol.metric_names()))
    assert ((draws > 0) & (draws <= 1)).all()


def test_perfect_scores_on_multithumos(test_data: Path) -> None:
    truth = _from_json(test_data / "multithumos" / "multithumos.json", "testing", 65, 1)
    found = _perfect(truth, np.ceil(truth.durations_s * 25 / 16).astype(int).tolist())
    protocol = FrameMapDense()
    matches = protocol.match(found, truth)
    # a class whose segments all lie between two frames has no positive frame and AP 0
    bare = matches.warnings.get("classes_without_ground_truth", 0)
    assert protocol.score(matches)["frame_map"] == pytest.approx((65 - bare) / 65)
    rng = np.random.default_rng(0)
    noisy = replace(found, scores=found.scores + rng.normal(size=found.scores.shape))
    matches = protocol.match(noisy, truth)
    score = protocol.score(matches)["frame_map"]
    assert 0.05 < score < 0.9
    label = 11
    positive = found.scores[:, label] > 0
    items = [(s, bool(p), 1.0) for s, p in zip(noisy.scores[:, label].tolist(), positive, strict=True)]
    assert protocol.per_class_ap(matches)["c11"]["frame_map"] == pytest.approx(plain_ap(items), abs=1e-9)
    _check_bootstrap(protocol, matches)


def test_perfect_scores_on_charades(test_data: Path) -> None:
    with (test_data / "charades" / "Charades_v1_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    videos = {}
    for row in rows:
        actions = [a.split(" ") for a in row["actions"].split(";") if a]
        own = [(int(c[1:]), float(s), float(e)) for c, s, e in actions if float(e) > float(s)]
        videos[row["id"]] = Video(float(row["length"]), [], own)
    truth = _truth(videos, 157)
    assert len(videos) == 1863
    first = np.arange(len(videos) + 1) * 25
    times = np.concatenate([charades_times(float(d)) for d in truth.durations_s])
    scores = label_points(times, first, truth.segments, interval="closed").astype(np.float64)
    protocol = FrameMapCharades25()
    matches = protocol.match(FrameScores(truth.video_ids, first, scores), truth)
    assert protocol.score(matches) == pytest.approx(dict.fromkeys(protocol.metric_names(), 1.0))
    assert int(matches.num_gt.sum()) == int(scores.sum()) > 100_000
    _check_bootstrap(protocol, matches)
