"""Video-level classification against loops over single predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import Item, Prediction, classification_ap, hit_at, plain_ap

from trainables.data.readers import read_annotations
from trainables.detections import GroundTruth
from trainables.evaluation.charades.official import VideoMapCharades
from trainables.evaluation.files.video_scores import read_video_scores
from trainables.evaluation.videos.classification import ActivityNetClassification
from trainables.evaluation.videos.multilabel_map import MultilabelMap
from trainables.evaluation.videos.scores import VideoScores, video_scores

#: Class of ActivityNet 1.2 that 1.3 calls "Volleyball".
RENAMED = "Playing volleyball"

#: Video -> classes.
Labels = dict[str, tuple[int, ...]]


def _truth(labels: Labels, num_classes: int) -> GroundTruth:
    rows = np.asarray([(i, c) for i, own in enumerate(labels.values()) for c in own], np.int64).reshape(-1, 2)
    segments = np.tile([0.0, 1.0], (len(rows), 1))
    return GroundTruth(tuple(labels), tuple(f"c{k}" for k in range(num_classes)), rows[:, 0], segments, rows[:, 1])


def _found(videos: tuple[str, ...], predictions: list[Prediction]) -> VideoScores:
    place = {video: i for i, video in enumerate(videos)}
    return VideoScores(
        videos,
        np.asarray([place[v] for v, _, _ in predictions], np.int64),
        np.asarray([c for _, c, _ in predictions], np.int64),
        np.asarray([s for _, _, s in predictions], np.float64),
    )


def test_the_second_prediction_of_a_class_is_a_miss() -> None:
    truth = _truth({"a": (0,), "b": (0,)}, 1)
    found = _found(("a", "b"), [("a", 0, 0.9), ("a", 0, 0.8), ("b", 0, 0.7)])
    protocol = ActivityNetClassification()
    matches = protocol.match(found, truth)
    assert protocol.score(matches)["video_map"] == pytest.approx((1 + 2 / 3) / 2)
    assert matches.warnings == {"repeated_predictions": 1}


def test_hits_at_k() -> None:
    truth = _truth({"a": (0, 1), "b": (2,), "unseen": (0,)}, 3)
    found = _found(("a", "b"), [("a", 2, 0.9), ("a", 0, 0.8), ("a", 1, 0.1), ("b", 2, 0.4), ("b", 0, 0.3)])
    protocol = ActivityNetClassification(top_k=(1, 2, 3))
    matches = protocol.match(found, truth)
    scores = protocol.score(matches)
    assert [scores[f"hit_{k}"] for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert [scores[f"avg_hit_{k}"] for k in (1, 2, 3)] == pytest.approx([1 / 3, 1.5 / 3, 2 / 3])
    assert matches.warnings == {"videos_without_predictions": 1}


def test_equal_scores_keep_the_order_of_the_file() -> None:
    truth = _truth({"a": (1,)}, 2)
    for order, hit in (([("a", 0, 0.5), ("a", 1, 0.5)], 0.0), ([("a", 1, 0.5), ("a", 0, 0.5)], 1.0)):
        protocol = ActivityNetClassification()
        assert protocol.score(protocol.match(_found(("a",), order), truth))["hit_1"] == hit


@st.composite
def cases(draw: st.DrawFn) -> tuple[Labels, list[Prediction]]:
    """Few scores: ties, repeated predictions, videos without predictions or without classes."""
    labels = {v: tuple(sorted(draw(st.sets(st.integers(0, 2))))) for v in "abcde"[: draw(st.integers(1, 5))]}
    first = next(iter(labels))
    labels[first] = labels[first] or (1,)
    prediction = st.tuples(st.sampled_from(list(labels)), st.integers(0, 2), st.sampled_from([0.1, 0.5, 0.9]))
    return labels, draw(st.lists(prediction, max_size=14))


def _expected_classification(labels: Labels, predictions: list[Prediction]) -> list[float]:
    truth = {(v, c) for v, own in labels.items() for c in own}
    present = sorted({c for _, c in truth})
    aps = [classification_ap(predictions, truth, c) for c in present]
    return [sum(aps) / len(aps), *hit_at(predictions, truth, 1), *hit_at(predictions, truth, 3)]


@settings(max_examples=400)
@given(case=cases(), data=st.data())
def test_activitynet_equals_the_loop_and_weights_repeat_videos(
    case: tuple[Labels, list[Prediction]], data: st.DataObject
) -> None:
    labels, predictions = case
    protocol = ActivityNetClassification()
    matches = protocol.match(_found(tuple(labels), predictions), _truth(labels, 3))
    assert list(protocol.score(matches).values()) == pytest.approx(
        _expected_classification(labels, predictions), abs=1e-9
    )
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    times = dict(zip(labels, weights, strict=True))
    repeated = {f"{v}{i}": own for v, own in labels.items() for i in range(times[v])}
    if not any(repeated.values()):
        with pytest.raises(ValueError, match="nothing to score"):
            protocol.score(matches, weights)
        return
    again = [(f"{v}{i}", c, s) for v, c, s in predictions for i in range(times[v])]
    assert list(protocol.score(matches, weights).values()) == pytest.approx(
        _expected_classification(repeated, again), abs=1e-9
    )


@st.composite
def matrices(draw: st.DrawFn) -> tuple[Labels, list[list[float]]]:
    labels, _ = draw(cases())
    first = next(iter(labels))
    labels[first] = (0, 1, 2)
    score = st.sampled_from([0.0, 0.1, 0.5, 0.9])
    return labels, [draw(st.lists(score, min_size=3, max_size=3)) for _ in labels]


def _items(labels: Labels, scores: list[list[float]], weights: list[int], label: int) -> list[Item]:
    rows = zip(labels.values(), scores, weights, strict=True)
    return [(row[label], label in own, float(weight)) for own, row, weight in rows]


@settings(max_examples=300)
@given(case=matrices(), data=st.data())
def test_multilabel_equals_the_loop(case: tuple[Labels, list[list[float]]], data: st.DataObject) -> None:
    labels, scores = case
    protocol = MultilabelMap()
    matches = protocol.match(video_scores(tuple(labels), np.asarray(scores)), _truth(labels, 3))
    drawn = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    for weights in ([1] * len(labels), drawn):
        aps = [plain_ap(_items(labels, scores, weights, k)) for k in range(3)]
        own = [ap for ap in aps if ap == ap]
        if not own:
            continue
        rows = list(zip(labels.values(), scores, weights, strict=True))
        right = sum(w for classes, row, w in rows if classes and row.index(max(row)) in classes)
        expected = [sum(own) / len(own), right / sum(w for classes, _, w in rows if classes)]
        assert list(protocol.score(matches, weights).values()) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=300)
@given(case=matrices(), data=st.data())
def test_charades_equals_the_loop(case: tuple[Labels, list[list[float]]], data: st.DataObject) -> None:
    labels, scores = case
    unscored = data.draw(st.sampled_from(list(labels)))
    drawn = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    sent = [i for i, v in enumerate(labels) if v != unscored]
    found = video_scores(tuple(list(labels)[i] for i in sent), np.asarray([scores[i] for i in sent]).reshape(-1, 3))
    protocol = VideoMapCharades()
    matches = protocol.match(found, _truth(labels, 3))
    last = [-np.inf] * 3
    read = [row if own and v != unscored else last for (v, own), row in zip(labels.items(), scores, strict=True)]
    for weights in ([1] * len(labels), drawn):
        items = [_items(labels, read, weights, k) for k in range(3)]
        number = [sum(w for _, positive, w in row if positive) for row in items]
        if not sum(number):
            continue
        aps = [plain_ap(row) for row in items]
        own = [ap for ap in aps if ap == ap]
        weighted = sum(n * ap for n, ap in zip(number, aps, strict=True) if n) / sum(number)
        assert list(protocol.score(matches, weights).values()) == pytest.approx(
            [sum(own) / len(own), weighted], abs=1e-9
        )


def test_charades_never_reads_the_scores_of_videos_without_action() -> None:
    truth = _truth({"a": (0,), "empty": (), "b": (0,)}, 1)
    found = video_scores(("a", "empty", "b"), np.array([[0.5], [0.9], [0.4]]))
    matches = VideoMapCharades().match(found, truth)
    assert VideoMapCharades().score(matches)["video_map"] == 1.0
    assert matches.warnings == {"videos_without_action_ranked_last": 1}
    plain = MultilabelMap()
    assert plain.score(plain.match(found, truth))["video_map"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_of_equal_scores_the_first_class_is_best() -> None:
    protocol = MultilabelMap()
    truth = _truth({"a": (0,), "b": (1,), "none": ()}, 2)
    found = video_scores(("a", "b", "none"), np.full((3, 2), 0.5))
    assert protocol.score(protocol.match(found, truth))["top1_accuracy"] == 0.5


def test_missing_and_repeated_scores_are_refused() -> None:
    truth = _truth({"a": (0,), "b": (1,)}, 2)
    whole = video_scores(("a", "b"), np.array([[0.1, 0.2], [0.3, 0.4]]))
    for protocol in (MultilabelMap(), VideoMapCharades()):
        fewer = replace(whole, video=whole.video[:3], labels=whole.labels[:3], scores=whole.scores[:3])
        with pytest.raises(ValueError, match="video 'b' has 0 scores for class 1"):
            protocol.match(fewer, truth)
        with pytest.raises(ValueError, match="video 'a' has 2 scores for class 0"):
            protocol.match(replace(whole, labels=np.array([0, 0, 0, 1])), truth)
        with pytest.raises(ValueError, match="row 1 has a score that is not finite"):
            protocol.match(replace(whole, scores=np.array([1, np.nan, 1, 1])), truth)
        with pytest.raises(ValueError, match="video 'c' is not in the ground truth"):
            protocol.match(replace(whole, video_ids=("a", "c")), truth)
        with pytest.raises(ValueError, match="class 'c1' has no positive item"):
            protocol.match(whole, _truth({"a": (0,), "b": ()}, 2))
    with pytest.raises(ValueError, match="video 'b' has none"):
        MultilabelMap().match(video_scores(("a",), np.array([[0.1, 0.2]])), truth)
    with pytest.raises(ValueError, match=r"shape \(2, 2\) for 1 videos"):
        video_scores(("a",), np.zeros((2, 2)))


def test_unknown_labels_and_videos_of_activitynet() -> None:
    truth = _truth({"a": (0,), "b": (1,)}, 2)
    found = _found(("a", "b", "x"), [("x", 0, 0.9), ("a", 0, 0.8), ("a", 7, 0.7), ("b", 1, 0.5)])
    with pytest.raises(ValueError, match="video 'x' is not in the ground truth"):
        ActivityNetClassification().match(found, truth)
    with pytest.raises(ValueError, match="row 2 has a label outside the 2 classes"):
        ActivityNetClassification(on_unknown_video="drop").match(found, truth)
    values = {}
    for policy in ("drop", "count"):
        protocol = ActivityNetClassification(on_unknown_video=policy, on_unknown_label="drop")  # type: ignore[arg-type]
        matches = protocol.match(found, truth)
        values[policy] = protocol.score(matches)
        assert matches.warnings["unknown_label_predictions_dropped"] == 1
        assert matches.warnings[f"unknown_video_predictions_{'dropped' if policy == 'drop' else 'counted'}"] == 1
    assert values["drop"]["video_map"] == 1.0
    assert values["count"]["video_map"] == 0.75
    assert values["count"]["hit_1"] == 1.0


def test_excluded_videos_leave_both_sides() -> None:
    truth = _truth({"a": (0,), "b": (0,)}, 1)
    found = _found(("a", "b"), [("b", 0, 0.9), ("b", 0, 0.8), ("a", 0, 0.1)])
    protocol = ActivityNetClassification(exclude_videos=("b", "elsewhere"))
    matches = protocol.match(found, truth)
    assert protocol.score(matches)["video_map"] == 1.0
    assert matches.video_ids == ("a",)
    assert matches.warnings == {"excluded_videos": 1, "excluded_video_predictions": 2}


def test_nothing_in_common_is_refused() -> None:
    protocol = ActivityNetClassification(on_unknown_video="drop", on_unknown_label="drop")
    with pytest.raises(ValueError, match="none of the 1 is on a video and of a class that are known"):
        protocol.match(_found(("x",), [("x", 0, 0.9)]), _truth({"a": (0,)}, 1))
    with pytest.raises(ValueError, match=r"top_k: \(0,\)"):
        ActivityNetClassification(top_k=(0,))


def test_the_published_sample_of_activitynet(test_data: Path) -> None:
    """It names the true classes of 1.3's validation videos, all with score 1; 1.2 calls one class otherwise."""
    folder = test_data / "activitynet"
    truth = read_annotations(folder / "activity_net.v1-2.min-missing-removed.json").ground_truth("validation")
    found = read_video_scores(
        folder / "sample_classification_prediction.json", truth.class_names, on_unknown_label="mark"
    )
    assert len(found.video_ids) == 4926
    protocol = ActivityNetClassification(on_unknown_label="drop", on_unknown_video="drop")
    matches = protocol.match(found, truth)
    pairs = set(zip(truth.video.tolist(), truth.labels.tolist(), strict=True))
    raw = json.loads((folder / "sample_classification_prediction.json").read_text())["results"]
    ids, known = {name: i for i, name in enumerate(truth.class_names)}, set(truth.video_ids)
    predictions = [
        (v, ids[p["label"]], p["score"]) for v, own in raw.items() if v in known for p in own if p["label"] in ids
    ]
    true = {(truth.video_ids[i], c) for i, c in pairs}
    scores = protocol.score(matches)
    assert scores["video_map"] == pytest.approx(np.mean([classification_ap(predictions, true, c) for c in range(100)]))
    missed = len({i for i, c in pairs if truth.class_names[c] == RENAMED})
    assert matches.warnings["videos_without_predictions"] == missed == 20
    assert scores["hit_1"] == scores["avg_hit_3"] == pytest.approx(1 - 20 / 2196)  # two of 2198 have no instance
    draws = protocol.bootstrap(matches, num_resamples=3, seed=0)
    assert draws.shape == (3, 5)
    assert ((draws > 0.9) & (draws <= 1)).all()
