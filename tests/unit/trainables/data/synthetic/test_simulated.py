"""Real timelines with simulated features: nothing of the annotation changes, and it can be seen in the features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from split_values import splits_of

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.readers import read_annotations
from trainables.data.schema import Segment
from trainables.data.splits import cut_subsets
from trainables.data.synthetic.evidence import Evidence, covered
from trainables.data.synthetic.simulated import Simulation, simulate

MODEL = Evidence(
    feat_dim=64, core_fraction=0.5, core_strength=8.0, flank_strength=2.0, context_confuser=0.0, noise=0.0,
    confusable=0.0, telling_context=0.0, boundary_blur=0.0,
)  # fmt: skip
NAMES = ("dive", "jump", "run")


def _set(*videos: AnnotatedVideo) -> AnnotationSet:
    return AnnotationSet("test", NAMES, videos, ())


def _video(*segments: Segment, name: str = "a", duration_s: float | None = 10.0) -> AnnotatedVideo:
    return AnnotatedVideo(name, "any", duration_s, 25.0, segments)


def _strengths(features: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(L, K) how far each snippet lies along each direction, by least squares."""
    return np.linalg.lstsq(directions.T, features.T, rcond=None)[0].T


def _directions(folder: Path, simulation: Simulation) -> np.ndarray:
    """(K, C) of the classes, seen in videos of one action that is all core."""
    model = dataclasses.replace(simulation.evidence, core_fraction=1.0, noise=0.0)
    videos = [_video(Segment(0.0, 10.0, k), name=f"v{k}") for k in range(3)]
    splits = splits_of({f"v{k}": "train" for k in range(3)})
    store = simulate(folder, _set(*videos), splits, dataclasses.replace(simulation, evidence=model))
    return np.stack([store.features(k)[5] / model.core_strength for k in range(3)])


def test_evidence_lies_where_the_segments_do(tmp_path: Path) -> None:
    simulation = Simulation(MODEL, 0.5, seed=3)
    segments = (Segment(1.25, 4.0, 0), Segment(1.25, 3.0, 2), Segment(6.0, 7.0, 1, ambiguous=True), Segment(9.9, 14, 1))
    store = simulate(tmp_path / "s", _set(_video(*segments)), splits_of({"a": "test"}), simulation)
    found = _strengths(store.features(0), _directions(tmp_path / "d", simulation))
    assert found.shape == (20, 3)
    for label, (start, end) in ((0, (2.5, 8.0)), (2, (2.5, 6.0)), (1, (19.8, 20.0))):
        strength = found[:, label]
        inside = covered(20, start, end)
        assert np.allclose(strength[inside == 0], 0, atol=1e-5)
        assert (strength >= 2.0 * inside - 1e-5).all()
        assert strength.sum() == pytest.approx((0.5 * 8.0 + 0.5 * 2.0) * (end - start), rel=1e-5)
    rows = [(s["start_s"], s["end_s"], s["label"], s["ambiguous"]) for s in store.segments]
    assert rows == [dataclasses.astuple(s) for s in segments], "annotated as they were"
    assert store.videos[0]["duration_s"] == 10.0


@pytest.mark.parametrize(("duration_s", "num"), [(10.0, 20), (10.2, 21), (0.1, 1), (0.3 * 0.5 / 0.1, 3)])
def test_snippets_cover_the_video(tmp_path: Path, duration_s: float, num: int) -> None:
    store = simulate(
        tmp_path / "s", _set(_video(duration_s=duration_s)), splits_of({"a": "test"}), Simulation(MODEL, 0.5)
    )
    assert store.videos[0]["num_snippets"] == num
    assert store.videos[0]["duration_s"] == duration_s


def test_seeds_noise_and_wrong_labels(tmp_path: Path) -> None:
    videos = [_video(Segment(1.0, 3.0, i % 3), name=f"v{i:02}") for i in range(20)]
    splits = splits_of({f"v{i:02}": "train" if i < 16 else "test" for i in range(20)})
    base = Simulation(dataclasses.replace(MODEL, noise=1.0), 0.5, seed=1)
    stores = [
        simulate(tmp_path / str(i), _set(*videos), splits, simulation)
        for i, simulation in enumerate(
            (base, base, dataclasses.replace(base, seed=2), dataclasses.replace(base, label_noise=0.25))
        )
    ]
    digests = [store.manifest["digest"] for store in stores]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    labels = [[s["label"] for s in store.segments] for store in (stores[0], stores[3])]
    wrong = [a != b for a, b in zip(*labels, strict=True)]
    assert sum(wrong) == 4
    assert not any(wrong[16:])
    for i in range(20):
        assert np.array_equal(stores[0].features(i), stores[3].features(i))


def test_videos_without_a_split_are_listed_and_without_a_duration_refused(tmp_path: Path) -> None:
    videos = _set(_video(), _video(name="b", duration_s=None))
    store = simulate(tmp_path / "s", videos, splits_of({"a": "test"}), Simulation(MODEL, 0.5))
    assert store.excluded == {"b": "no split"}
    with pytest.raises(ValueError, match="video 'b': no duration"):
        simulate(tmp_path / "t", videos, splits_of({"b": "test"}), Simulation(MODEL, 0.5))


@pytest.mark.parametrize(
    ("changes", "complaint"), [({"snippet_seconds": 0.0}, "snippet_seconds: 0"), ({"label_noise": 1.5}, "label_noise")]
)
def test_settings_that_cannot_work(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Simulation(**{"evidence": MODEL, "snippet_seconds": 0.5, **changes})


def test_the_timelines_of_thumos(tmp_path: Path, test_data: Path) -> None:
    annotations = read_annotations(test_data / "thumos14" / "thumos14.json")
    subsets = sorted({video.subset for video in annotations.videos})
    test, train = subsets
    splits = cut_subsets(annotations, train=[train], test=[test], num_select=20, seed=0)
    model = dataclasses.replace(MODEL, feat_dim=32, noise=1.0)
    store = simulate(tmp_path / "s", annotations, splits, Simulation(model, 1.0, seed=0))
    assert len(store.videos) == 412
    annotated = [s for video in annotations.videos for s in video.segments]
    assert [(s["start_s"], s["end_s"], s["label"]) for s in store.segments] == [
        (s.start_s, s.end_s, s.label) for s in annotated
    ]
    durations = {v.video_id: v.duration_s for v in annotations.videos}
    assert {v["video_id"]: v["duration_s"] for v in store.videos} == durations
    # what lies in an action stands out of the background by the planted strength
    inside, outside = [], []
    for i, row in enumerate(store.videos):
        norms = np.linalg.norm(store.features(i), axis=1)
        busy = np.zeros(len(norms))
        for s in store.segments:
            if s["video_id"] == row["video_id"]:
                busy = np.maximum(busy, covered(len(norms), s["start_s"], s["end_s"]))
        inside.append(norms[busy == 1])
        outside.append(norms[busy == 0])
    expected = np.sqrt(32 + 0.5 * 8**2 + 0.5 * 2**2)
    assert np.sqrt((np.concatenate(outside) ** 2).mean()) == pytest.approx(np.sqrt(32), rel=0.01)
    assert np.sqrt((np.concatenate(inside) ** 2).mean()) == pytest.approx(expected, rel=0.1)
