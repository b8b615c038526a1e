"""Detection mAP of both protocols against a slow reference, and under weights of the videos."""

from __future__ import annotations

import numpy as np
import pytest
from detection_references import Case, distinct, mean_ap, recall_at
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.evaluation.detection.detection_map import DetectionMap
from trainables.evaluation.detection.protocols import ActivityNet, Afsd, OpenTad, Thumos14Official, Wtalc

ALL = (ActivityNet, Thumos14Official, Afsd, OpenTad, Wtalc)
THRESHOLDS = (0.1, 0.3, 0.5, 0.75)
each_protocol = pytest.mark.parametrize("protocol", [p(THRESHOLDS) for p in ALL], ids=lambda p: p.key)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Few videos and places, so that ties, duplicates, shared best matches and exact thresholds are common."""
    unit = draw(st.sampled_from([1.0, 0.1]))
    segment = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(lambda p: (p[0] * unit, (p[0] + p[1]) * unit))
    videos = tuple(draw(st.permutations("abcd"))[: draw(st.integers(1, 4))])
    video, label = st.sampled_from(videos), st.integers(0, 1)
    score = st.sampled_from([0.1, 0.2, 0.5, 0.9])
    gt = draw(st.lists(st.tuples(video, segment, label), min_size=1, max_size=12))
    found = draw(st.lists(st.tuples(video, segment, label, score), max_size=16))
    ambiguous = draw(st.lists(st.tuples(video, segment), max_size=2))
    return Case(
        videos=videos,
        gt=[(v, *s, c) for v, s, c in gt],
        found=[(v, *s, c, p) for v, s, c, p in found],
        ambiguous=[(v, *s) for v, s in ambiguous],
        num_classes=2,
    )


def _expected(case: Case, protocol: DetectionMap) -> list[float]:
    by_threshold = [mean_ap(case, protocol.key, t) for t in protocol.tiou_thresholds]
    return [*by_threshold, sum(by_threshold) / len(by_threshold)]


@each_protocol
@settings(max_examples=600)
@given(case=cases())
def test_equal_to_the_textbook(protocol: DetectionMap, case: Case) -> None:
    scores = protocol.score(protocol.match(*case.arrays()))
    assert list(scores) == ["map_tiou_0.10", "map_tiou_0.30", "map_tiou_0.50", "map_tiou_0.75", "avg_map"]
    assert list(scores.values()) == pytest.approx(_expected(case, protocol), abs=1e-9)


@each_protocol
@settings(max_examples=300)
@given(case=cases(), data=st.data())
def test_weights_equal_repeated_videos(protocol: DetectionMap, case: Case, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(case.videos), max_size=len(case.videos)))
    repeated = case.repeated(weights)
    matches = protocol.match(*case.arrays())
    own = [w for v, w in zip(case.videos, weights, strict=True) if v in matches.video_ids]
    if not repeated.gt:
        with pytest.raises(ValueError, match="there is nothing to score"):
            protocol.score(matches, own)
        return
    scores = protocol.score(matches, own)
    assert list(scores.values()) == pytest.approx(_expected(repeated, protocol), abs=1e-9)
    if protocol.rule == "interpolated":  # a run of copies ends at its best precision: ranks need no convention
        again = protocol.score(protocol.match(*repeated.arrays()))
        assert scores == pytest.approx(again, abs=1e-9)


@settings(max_examples=300)
@given(case=cases())
def test_recall_of_the_best_detections_equals_the_textbook(case: Case) -> None:
    protocol = OpenTad(THRESHOLDS)
    extras = protocol.extras(*case.arrays())
    assert list(extras)[:2] == ["recall_1x_tiou_0.10", "recall_1x_tiou_0.30"]
    by_class = [case.of_class(label) for label in range(case.num_classes)]
    for multiple in (1, 5):
        for threshold in THRESHOLDS:
            recalls = [recall_at(distinct(t), found, multiple, threshold) for t, found in by_class if t]
            expected = sum(recalls) / len(recalls)
            assert extras[f"recall_{multiple}x_tiou_{threshold:.2f}"] == pytest.approx(expected, abs=1e-9)


def _random(seed: int, num_videos: int = 24, num_classes: int = 3) -> Case:
    rng = np.random.default_rng(seed)
    ids = tuple(f"v{i:02d}" for i in range(num_videos))
    gt, found = [], []
    for _ in range(6 * num_videos):
        start, length = rng.random() * 50, 1 + rng.random() * 10
        video, label = ids[rng.integers(num_videos)], int(rng.integers(num_classes))
        gt.append((video, start, start + length, label))
        shift = rng.normal(size=2) * 0.15 * length
        found.append((video, start + shift[0], start + length + abs(shift[1]), label, 0.3 + rng.random()))
    for _ in range(12 * num_videos):
        start, length = rng.random() * 50, 1 + rng.random() * 10
        label = int(rng.integers(num_classes))
        found.append((ids[rng.integers(num_videos)], start, start + length, label, rng.random()))
    return Case(ids, gt, found, [(ids[0], 10.0, 20.0)], num_classes)


@each_protocol
def test_equal_to_the_textbook_with_many_detections(protocol: DetectionMap) -> None:
    case = _random(0, num_videos=4)
    scores = protocol.score(protocol.match(*case.arrays()))
    assert 0.05 < scores["avg_map"] < 0.95
    assert list(scores.values()) == pytest.approx(_expected(case, protocol), abs=1e-9)


@each_protocol
def test_a_common_factor_of_the_weights_changes_nothing(protocol: DetectionMap) -> None:
    matches = protocol.match(*_random(1).arrays())
    weights = np.random.default_rng(0).random(24)
    assert protocol.score(matches, 2.5 * weights) == pytest.approx(protocol.score(matches, weights), abs=1e-12)


@each_protocol
def test_resampling_many_at_once_equals_one_by_one(protocol: DetectionMap, monkeypatch: pytest.MonkeyPatch) -> None:
    matches = protocol.match(*_random(2).arrays())
    weights = np.random.default_rng(3).multinomial(24, [1 / 24] * 24, 40).astype(float)
    one_by_one = [list(protocol.score(matches, weight).values()) for weight in weights]
    monkeypatch.setattr("trainables.evaluation.precision.average_precision._CHUNK", 1000)  # several parts
    assert protocol.resample(matches, weights) == pytest.approx(np.array(one_by_one), abs=1e-12)


@each_protocol
def test_bootstrap_is_reproducible_and_centred(protocol: DetectionMap) -> None:
    matches = protocol.match(*_random(4).arrays())
    values = protocol.bootstrap(matches, num_resamples=400, seed=7)
    assert values.shape == (400, len(protocol.metric_names()))
    assert np.array_equal(values, protocol.bootstrap(matches, num_resamples=400, seed=7))
    assert not np.array_equal(values, protocol.bootstrap(matches, num_resamples=400, seed=8))
    spread = values.std(axis=0)
    assert (spread > 0.005).all()
    assert (np.abs(values.mean(axis=0) - list(protocol.score(matches).values())) < 0.5 * spread).all()


def test_classes_without_ground_truth_are_left_out_of_the_mean_and_counted() -> None:
    case = Case(("v",), [("v", 0, 10, 0)], [("v", 0, 10, 0, 0.9), ("v", 0, 10, 1, 0.8)], num_classes=2)
    protocol = ActivityNet((0.5,))
    matches = protocol.match(*case.arrays())
    assert protocol.score(matches) == {"map_tiou_0.50": 1.0, "avg_map": 1.0}
    assert protocol.per_class_ap(matches) == {"c0": {"map_tiou_0.50": 1.0, "avg_map": 1.0}}
    assert matches.warnings == {"classes_without_ground_truth": 1, "detections_of_classes_without_ground_truth": 1}


@each_protocol
def test_the_mean_of_the_classes_is_the_score(protocol: DetectionMap) -> None:
    matches = protocol.match(*_random(5).arrays())
    per_class = protocol.per_class_ap(matches)
    assert list(per_class) == ["c0", "c1", "c2"]
    for name, value in protocol.score(matches).items():
        assert np.mean([values[name] for values in per_class.values()]) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ([1.0] * 23, "does not give one weight to each of 24 videos"),
        ([-1.0] + [1.0] * 23, "finite and not negative"),
        ([float("nan")] + [1.0] * 23, "finite and not negative"),
        ([0.0] * 24, "there is nothing to score"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: list[float], complaint: str) -> None:
    protocol = ActivityNet()
    with pytest.raises(ValueError, match=complaint):
        protocol.score(protocol.match(*_random(6).arrays()), weights)


@pytest.mark.parametrize(
    ("settings_", "complaint"),
    [
        ({"tiou_thresholds": (0.501, 0.502)}, "differ in the first two decimals"),
        ({"tiou_thresholds": ()}, "one or more values"),
        ({"tiou_thresholds": (0.0,)}, r"in \(0, 1\]"),
        ({"on_unknown_video": "ignore"}, "on_unknown_video: 'ignore' is none of error, drop, count"),
        ({"on_unknown_label": "count"}, "on_unknown_label: 'count' is none of error, drop"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings_: dict, complaint: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=complaint):
        ActivityNet(**settings_)
