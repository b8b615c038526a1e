"""What every protocol of a study that scores detections must hold, whoever ships it.

Those that score frames are in test_metric_contract.py.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tadtune.spec.fields import field_infos
from trainables.detections import Detections, GroundTruth
from trainables.evaluation.frames.scores import truth_for

SHIPPED = [p for p in entry_points(group="tadtune.protocols") if p.value.startswith("trainables.")]
POINTS = [p for p in SHIPPED if p.load().takes == "detections"]


#: Protocols that score points in time. A point without a detection has score 0 and a rank, so that no detection at all
#: is chance, at most this; averaging over neighbours costs even perfect detections something.
POINTWISE = {"charades25": 0.3}


@pytest.fixture(params=POINTS, ids=lambda p: p.name)
def point(request: pytest.FixtureRequest) -> EntryPoint:
    found: EntryPoint = request.param
    return found


@pytest.fixture
def protocol(point: EntryPoint) -> Any:
    return point.load()()


def _data(num_videos: int = 6) -> tuple[Detections, GroundTruth]:
    """Two classes; every segment is found, somewhat displaced, beside as many false alarms."""
    rng = np.random.default_rng(0)
    ids = tuple(f"v{i}" for i in range(num_videos))
    video = np.repeat(np.arange(num_videos), 4)
    start = np.tile([0.0, 30.0, 60.0, 90.0], num_videos)
    segments = np.stack([start, start + 10], axis=1)
    labels = np.tile([0, 1, 0, 1], num_videos)
    moved = segments + rng.uniform(-2, 2, segments.shape)
    found = Detections(
        ids,
        np.tile(video, 2),
        np.concatenate([moved, segments + 15]),
        np.tile(labels, 2),
        np.concatenate([0.2 + rng.random(len(video)), rng.random(len(video))]),
    )
    return found, GroundTruth(ids, ("a", "b"), video, segments, labels)


def _match(protocol: Any, found: Detections, truth: GroundTruth) -> Any:
    """As a trial does it; every video lasts 120 s."""
    return protocol.match(found, truth_for(protocol, truth, dict.fromkeys(truth.video_ids, 120.0)))


def test_protocols_are_shipped() -> None:
    assert {"activitynet", "thumos14_official"} <= {p.name for p in POINTS}
    others = {p.name: p.load().takes for p in SHIPPED if p not in POINTS}
    assert others == {"frame_map_dense": "frame_scores", "frame_map_charades25": "frame_scores"}


def test_it_says_what_it_is(point: EntryPoint, protocol: Any) -> None:
    assert protocol.key == point.name
    assert protocol.version
    assert protocol.metrics_doc
    assert dataclasses.is_dataclass(protocol)
    assert all(info.doc and info.source for info in field_infos(protocol).values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol.tiou_thresholds = (0.5,)


def test_metric_names_suit_every_tracker(protocol: Any) -> None:
    names = protocol.metric_names()
    assert len(set(names)) == len(names) > 0
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.") for name in names)


def test_it_loads_without_torch(point: EntryPoint) -> None:
    code = f"import sys, {point.module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_are_fractions_under_its_names(protocol: Any) -> None:
    found, truth = _data()
    scores = protocol.score(_match(protocol, found, truth))
    assert tuple(scores) == protocol.metric_names()
    assert all(type(value) is float and 0 <= value <= 1 for value in scores.values())
    assert 0 < np.mean(list(scores.values())) < 1


def test_perfect_detections_score_one_and_none_score_zero(protocol: Any) -> None:
    _, truth = _data()
    scores = np.linspace(1, 0.1, len(truth.video))
    perfect = Detections(truth.video_ids, truth.video, truth.segments_s, truth.labels, scores)
    names = protocol.metric_names()[: 1 if protocol.key in POINTWISE else None]
    assert {protocol.score(_match(protocol, perfect, truth))[name] for name in names} == {1.0}
    nothing = Detections(truth.video_ids, truth.video[:0], truth.segments_s[:0], truth.labels[:0], scores[:0])
    assert max(protocol.score(_match(protocol, nothing, truth)).values()) <= POINTWISE.get(protocol.key, 0.0)


def test_the_order_of_videos_and_a_common_shift_of_scores_do_not_matter(protocol: Any) -> None:
    found, truth = _data()
    turned = {"video_ids": found.video_ids[::-1]}
    shift = 0 if protocol.key in POINTWISE else -3
    flipped = dataclasses.replace(found, **turned, video=5 - found.video, scores=found.scores * 8 + shift)
    flipped_truth = dataclasses.replace(truth, **turned, video=5 - truth.video)
    expected = protocol.score(_match(protocol, found, truth))
    assert protocol.score(_match(protocol, flipped, flipped_truth)) == pytest.approx(expected, abs=1e-12)


def test_weights_of_one_are_the_score_and_of_zero_leave_a_video_out(protocol: Any) -> None:
    found, truth = _data()
    matches = _match(protocol, found, truth)
    assert protocol.num_videos(matches) == 6
    weights = np.ones((2, 6))
    weights[1, 4:] = 0
    values = protocol.resample(matches, weights)
    assert values.shape == (2, len(protocol.metric_names()))
    assert values[0].tolist() == pytest.approx(list(protocol.score(matches).values()), abs=1e-12)
    kept, kept_gt = found.video < 4, truth.video < 4
    fewer = _match(
        protocol,
        Detections(
            found.video_ids[:4], found.video[kept], found.segments_s[kept], found.labels[kept], found.scores[kept]
        ),
        GroundTruth(
            truth.video_ids[:4], truth.class_names, truth.video[kept_gt], truth.segments_s[kept_gt],
            truth.labels[kept_gt],
        ),
    )  # fmt: skip
    assert values[1].tolist() == pytest.approx(list(protocol.score(fewer).values()), abs=1e-12)


def test_per_class_values_average_to_the_score(protocol: Any) -> None:
    matches = _match(protocol, *_data())
    per_class = protocol.per_class_ap(matches)
    assert set(per_class) == {"a", "b"}
    for name, value in protocol.score(matches).items():
        assert np.mean([values[name] for values in per_class.values()]) == pytest.approx(value, abs=1e-12)


def test_stored_matches_give_the_same_resamples(protocol: Any, tmp_path: Path) -> None:
    matches = _match(protocol, *_data())
    matches.save(tmp_path / "matches.arrow")
    weights = np.random.default_rng(1).multinomial(6, [1 / 6] * 6, size=20).astype(float)
    again = protocol.load_matches(tmp_path / "matches.arrow")
    assert np.array_equal(protocol.resample(again, weights), protocol.resample(matches, weights))


def test_a_score_that_is_no_number_is_refused(protocol: Any) -> None:
    found, truth = _data()
    found.scores[3] = np.nan
    with pytest.raises(ValueError, match="row 3"):
        _match(protocol, found, truth)
