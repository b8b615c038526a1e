"""Generated features: deterministic, and difficult where the fields say so."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.features.store import FeatureStore
from trainables.data.schema import Video
from trainables.data.synthetic.config import Config
from trainables.data.synthetic.generate import make_videos

CLEAN = Config(noise=0.0, context_confuser=0.0)


def _inside(video: Video) -> np.ndarray:
    mask = np.zeros(len(video.features), bool)
    for segment in video.segments:
        mask[round(segment.start_s / video.snippet_seconds) : round(segment.end_s / video.snippet_seconds)] = True
    return mask


def test_the_same_configuration_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from trainables.data.synthetic.config import Config
config = Config(seed=3)
config.prepare(Path(sys.argv[1]))
print(config.digest(Path(sys.argv[1])))
"""
    digests = set()
    for hash_seed in ("1", "2"):
        root = tmp_path / hash_seed
        run = subprocess.run(
            [sys.executable, "-c", code, str(root)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1


def test_the_folder_is_named_after_what_the_data_depend_on(tmp_path: Path) -> None:
    config = Config()
    assert config.folder(tmp_path).parent == tmp_path
    assert len(config.folder(tmp_path).name.removeprefix("synthetic-")) == 12
    assert dataclasses.replace(config, permute_labels=True).folder(tmp_path) == config.folder(tmp_path)
    assert dataclasses.replace(config, noise=1.5).folder(tmp_path) != config.folder(tmp_path)
    config.prepare(tmp_path)
    store = FeatureStore(config.folder(tmp_path))
    assert store.manifest["builder"]["noise"] == config.noise
    assert {v["fps"] for v in store.videos} == {config.fps}


def test_without_noise_or_context_only_actions_are_there() -> None:
    for video in make_videos(CLEAN):
        inside = _inside(video)
        assert not video.features[~inside].any()
        lengths = np.linalg.norm(video.features[inside], axis=1)
        assert set(np.round(lengths, 3)) == {CLEAN.core_strength, CLEAN.flank_strength}


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_the_core_is_one_run_of_its_share(share: float) -> None:
    config = dataclasses.replace(CLEAN, core_fraction=share)
    for video in make_videos(config):
        strength = np.linalg.norm(video.features, axis=1)
        for segment in video.segments:
            start, end = (round(t / config.snippet_seconds) for t in (segment.start_s, segment.end_s))
            core = np.isclose(strength[start:end], config.core_strength, atol=1e-3)
            assert core.sum() == max(1, round(share * (end - start)))
            assert np.diff(np.flatnonzero(core)).max(initial=1) == 1


def test_every_class_has_its_own_direction() -> None:
    sums: dict[int, np.ndarray] = {}
    for video in make_videos(CLEAN):
        mean = video.features[_inside(video)].mean(axis=0)
        sums[video.segments[0].label] = mean / np.linalg.norm(mean)
    angles = np.abs(np.stack([sums[k] for k in sorted(sums)]) @ np.stack([sums[k] for k in sorted(sums)]).T)
    assert np.allclose(np.diag(angles), 1.0)
    assert angles[~np.eye(len(sums), dtype=bool)].max() < 0.7


def test_the_context_lies_around_actions_and_is_shared_by_two_classes() -> None:
    config = Config(noise=0.0, context_confuser=2.0, core_strength=0.0, flank_strength=0.0)
    classes: dict[bytes, set[int]] = {}
    for video in make_videos(config):
        rows = video.features[np.linalg.norm(video.features, axis=1) > 0]
        assert np.allclose(np.linalg.norm(rows, axis=1), 2.0, atol=1e-5)
        assert len(rows) > _inside(video).sum()
        assert np.linalg.norm(video.features[_inside(video)], axis=1).min() > 0
        classes.setdefault(np.round(rows[0], 4).tobytes(), set()).add(video.segments[0].label)
    assert len(classes) == config.num_classes
    assert {len(own) for own in classes.values()} == {2}


def test_noise_has_the_stated_deviation() -> None:
    config = Config(noise=1.7, context_confuser=0.0)
    outside = np.concatenate([v.features[~_inside(v)] for v in make_videos(config)])
    assert outside.std() == pytest.approx(1.7, rel=0.02)
    assert outside.mean() == pytest.approx(0.0, abs=0.02)


def test_no_video_draws_what_another_draws() -> None:
    videos = list(make_videos(Config(context_confuser=0.0, core_strength=0.0, flank_strength=0.0)))
    assert len({v.features[:8].tobytes() for v in videos}) == len(videos)


def test_places_respect_the_ranges() -> None:
    config = Config(num_snippets=(20, 24), actions_per_video=(2, 5), action_snippets=(3, 9))
    for video in make_videos(config):
        assert 20 <= len(video.features) <= 24
        times = np.array([(s.start_s, s.end_s) for s in video.segments]) / config.snippet_seconds
        assert np.array_equal(times, np.rint(times)), "boundaries are whole snippets"
        assert ((np.diff(times, axis=1) >= 3) & (np.diff(times, axis=1) <= 9)).all()
        assert (times[1:, 0] - times[:-1, 1] >= 1).all(), "at least a snippet of background between two"
        assert 1 <= len(video.segments) <= 5


def test_splits_have_their_sizes_and_every_class() -> None:
    config = Config(num_videos=50, num_classes=7, select_fraction=0.2, test_fraction=0.3)
    videos = list(make_videos(config))
    for split, size in {"train": 25, "select": 10, "test": 15}.items():
        own = [v for v in videos if v.split == split]
        assert len(own) == size
        assert {v.subset for v in own} == {"test" if split == "test" else "training"}
        counts = np.bincount([v.segments[0].label for v in own], minlength=7)
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 2


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_videos": 20}, "num_videos: 20 leave 4 in select, too few to show each of 5 classes"),
        ({"num_snippets": (10, 5)}, r"num_snippets: \(10, 5\) must be two rising"),
        ({"action_snippets": (0, 5)}, r"action_snippets: \(0, 5\)"),
        ({"action_snippets": (5, 99)}, "the longest action does not fit"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Config(**changes)


def test_a_damaged_store_is_not_taken_for_prepared(tmp_path: Path) -> None:
    config = Config()
    config.prepare(tmp_path)
    features = config.folder(tmp_path) / "features.arrow"
    features.write_bytes(features.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"features\.arrow.*the manifest says"):
        config.prepare(tmp_path)


def test_the_control_exchanges_whole_annotations(tmp_path: Path) -> None:
    config = Config(num_classes=2)
    config.prepare(tmp_path)
    plain, control = config.open(tmp_path), dataclasses.replace(config, permute_labels=True).open(tmp_path)
    again = dataclasses.replace(config, permute_labels=True).open(tmp_path)
    a, b, c = (d.ground_truth("train") for d in (plain, control, again))
    durations = np.array([plain.durations_s()[v] for v in a.video_ids])

    def shapes(truth: Any) -> list[Any]:
        own = truth.segments_s / durations[truth.video, None]
        return sorted(
            (np.round(own[truth.video == v], 6).tolist(), truth.labels[truth.video == v].tolist())
            for v in range(len(durations))
        )

    assert shapes(a) == shapes(b), "the same annotations, as shares of a video"
    assert np.array_equal(b.segments_s, c.segments_s)
    assert (b.segments_s[:, 1] <= durations[b.video] + 1e-9).all()
    moved = [
        not np.array_equal(a.segments_s[a.video == v] / durations[v], b.segments_s[b.video == v] / durations[v])
        for v in range(len(durations))
    ]
    assert all(moved), "no training video keeps its own"
    for split in ("select", "test"):
        assert np.array_equal(plain.ground_truth(split).segments_s, control.ground_truth(split).segments_s)
