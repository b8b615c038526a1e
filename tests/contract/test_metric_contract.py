"""What every protocol that scores anything but detections must hold, whether studies can use it or files alone."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np
import pytest

from tadtune.spec.fields import field_infos
from trainables.detections import Detections, FrameScores, GroundTruth
from trainables.evaluation.frames.scores import TimedTruth
from trainables.evaluation.frames.sequences import FrameLabels
from trainables.evaluation.videos.scores import video_scores

FOR_STUDIES = [
    p
    for p in entry_points(group="tadtune.protocols")
    if p.value.startswith("trainables.") and p.load().takes != "detections"
]
POINTS = [p for p in entry_points(group="tadtune.metrics") if p.value.startswith("trainables.")] + FOR_STUDIES

IDS = tuple(f"v{i}" for i in range(6))
RNG = np.random.default_rng(0)
#: Two segments a video, one of each class, over 100 of 400 seconds.
TRUTH = GroundTruth(
    IDS,
    ("a", "b"),
    np.repeat(np.arange(6), 2),
    np.tile([[50.0, 150.0], [250.0, 350.0]], (6, 1)),
    np.tile([0, 1], 6),
)


def _proposals() -> tuple[Any, Any]:
    moved = np.sort(TRUTH.segments_s + RNG.normal(0, 15, TRUTH.segments_s.shape), axis=1)
    far = np.tile([[380.0, 399.0]], (12, 1))
    scores = RNG.random(24)
    return Detections(IDS, np.tile(TRUTH.video, 2), np.concatenate([moved, far]), np.zeros(24, np.int64), scores), TRUTH


def _frames() -> tuple[Any, Any]:
    first = np.arange(7) * 25
    times = np.tile(np.arange(25) * 16.0, 6)
    truth = np.stack([(times >= 50) & (times <= 150), (times >= 250) & (times <= 350)], axis=1)
    return FrameScores(IDS, first, truth + RNG.normal(size=truth.shape)), TimedTruth(TRUTH, np.full(6, 400.0))


def _videos() -> tuple[Any, Any]:
    keep = np.array([True, False] * 3 + [False, True] * 3)
    truth = dataclasses.replace(
        TRUTH, video=TRUTH.video[keep], segments_s=TRUTH.segments_s[keep], labels=TRUTH.labels[keep]
    )
    return video_scores(IDS, RNG.random((6, 2))), truth


def _labels() -> tuple[Any, Any]:
    first = np.arange(7) * 40
    truth = np.tile(np.repeat([0, 1, 0, 2], 10), 6)
    found = np.where(RNG.random(240) < 0.2, RNG.integers(0, 3, 240), truth)
    names = ("background", "a", "b")
    return FrameLabels(IDS, first, found, names), FrameLabels(IDS, first, truth, names)


MAKE: dict[str, Callable[[], tuple[Any, Any]]] = {
    "proposals": _proposals,
    "frame_scores": _frames,
    "video_scores": _videos,
    "frame_labels": _labels,
}


@pytest.fixture(params=POINTS, ids=lambda p: p.name)
def point(request: pytest.FixtureRequest) -> EntryPoint:
    found: EntryPoint = request.param
    return found


@pytest.fixture
def protocol(point: EntryPoint) -> Any:
    return point.load()()


def test_protocols_are_shipped() -> None:
    assert {p.name for p in POINTS} == {
        "ar_an",
        "frame_map_dense",
        "frame_map_charades25",
        "video_map_charades",
        "activitynet_classification",
        "multilabel_map",
        "segmentation",
    }


def test_names_are_those_of_no_other_protocol() -> None:
    names = [p.name for group in ("tadtune.protocols", "tadtune.metrics") for p in entry_points(group=group)]
    assert len(set(names)) == len(names)


def test_it_says_what_it_is(point: EntryPoint, protocol: Any) -> None:
    assert protocol.key == point.name
    assert protocol.version
    assert protocol.metrics_doc
    assert protocol.takes in MAKE
    assert "Source: " in type(protocol).__doc__
    assert all(info.doc and info.source for info in field_infos(type(protocol)).values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol.on_unknown_video = "drop"


def test_metric_names_suit_every_tracker(protocol: Any) -> None:
    names = protocol.metric_names()
    assert len(set(names)) == len(names) > 0
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.") for name in names)


def test_it_loads_without_torch(point: EntryPoint) -> None:
    code = f"import sys, {point.module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_are_fractions_under_its_names(protocol: Any) -> None:
    matches = protocol.match(*MAKE[protocol.takes]())
    scores = protocol.score(matches)
    assert tuple(scores) == protocol.metric_names()
    assert all(type(value) is float and 0 <= value <= 1 for value in scores.values())
    assert 0 < np.mean(list(scores.values())) < 1
    assert protocol.num_videos(matches) == protocol.counts(matches)["videos"] == 6
    assert protocol.counts(matches)["instances"] > 0
    assert protocol.extras(*MAKE[protocol.takes]()) == {}


def test_weights_are_checked_and_resampling_is_scoring(protocol: Any) -> None:
    matches = protocol.match(*MAKE[protocol.takes]())
    weights = np.random.default_rng(1).multinomial(6, [1 / 6] * 6, size=5).astype(float)
    values = protocol.resample(matches, weights)
    for row, weight in zip(values, weights, strict=True):
        assert row.tolist() == pytest.approx(list(protocol.score(matches, weight).values()), abs=1e-12)
        assert row.tolist() == pytest.approx(protocol.resample(matches, 2.5 * weight[None])[0].tolist(), abs=1e-9)
    assert np.isnan(protocol.resample(matches, np.zeros((1, 6)))).all()
    for bad, complaint in ((np.ones(5), "does not give one weight"), (-np.ones(6), "finite and not negative")):
        with pytest.raises(ValueError, match=f"video_weights: .*{complaint}"):
            protocol.score(matches, bad)


def test_a_bootstrap_depends_on_its_seed_alone(protocol: Any) -> None:
    matches = protocol.match(*MAKE[protocol.takes]())
    one, same, other = (protocol.bootstrap(matches, num_resamples=8, seed=seed) for seed in (0, 0, 1))
    assert one.shape == (8, len(protocol.metric_names()))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_matches_of_another_protocol_are_refused(protocol: Any) -> None:
    matches = dataclasses.replace(protocol.match(*MAKE[protocol.takes]()))
    inner = getattr(matches, "matches", None)
    foreign = (
        dataclasses.replace(matches, matches=dataclasses.replace(inner, protocol="other 1"))
        if inner is not None
        else dataclasses.replace(matches, protocol="other 1")
    )
    with pytest.raises(ValueError, match=f"matched by 'other 1'.*not by '{protocol.key}"):
        protocol.score(foreign)


def test_wrong_policies_are_refused(point: EntryPoint) -> None:
    with pytest.raises(ValueError, match="on_unknown_video: 'ignore' is none of error, drop"):
        point.load()(on_unknown_video="ignore")
