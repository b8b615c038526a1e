"""What every data set must hold, whoever ships it."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.config import FrameInput, Sampling
from trainables.data.features.store import write_store
from trainables.data.stitched.feature_clips import Clip
from trainables.data.stitched.features import StitchSettings, stitch
from trainables.data.video.encode import write_mp4

NAMES = [p.name for p in entry_points(group="tadtune.datasets") if p.value.startswith("trainables.")]
FRAMES = FrameInput(fps=10, size=(24, 32), crop=(16, 16), mirror=True)
NATIVE = Sampling("native", "native", 16, frames=FRAMES)


def _config(name: str) -> Any:
    return next(p for p in entry_points(group="tadtune.datasets") if p.name == name).load()


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    clips = [
        Clip(f"c{k}_{i}", f"c{k}", rng.normal(size=(8, 4)).astype(np.float32)) for k in range(14) for i in range(10)
    ]
    videos, names, builder = stitch(clips, StitchSettings(num_videos=(21, 8, 9)))
    write_store(root / "gym_stitched", videos, names, builder)
    write_store(root / "features", videos, names, builder)
    _write_videos(root / "stitched_videos", rng)
    return root


def _write_videos(folder: Path, rng: np.random.Generator) -> None:
    """Videos of noise, 2 to 3 s long, with one or two actions."""
    (folder / "videos").mkdir(parents=True)
    database = {}
    for number, split in enumerate(["train"] * 9 + ["select"] * 3 + ["test"] * 3):
        seconds = 2 + number % 11 / 10
        frames = rng.integers(0, 256, (round(20 * seconds), 6, 8, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        write_mp4(folder / f"videos/v{number}.mp4", frames, fps=Fraction(20), height=48, width=64)
        spans = [(0.2, 0.7), (1.0, 1.85)][: 1 + number % 2]
        actions = [{"segment": span, "label": f"c{(number + i) % 3}"} for i, span in enumerate(spans)]
        database[f"v{number}"] = {"subset": split, "duration": seconds, "annotations": actions}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))


@pytest.fixture(params=NAMES)
def config(request: pytest.FixtureRequest) -> Any:
    return _config(request.param)()


@pytest.fixture
def dataset(config: Any, data_root: Path) -> Any:
    config.prepare(data_root)
    return config.open(data_root)


@pytest.mark.parametrize("name", NAMES)
def test_configurations_load_without_torch(name: str) -> None:
    point = next(p for p in entry_points(group="tadtune.datasets") if p.name == name)
    code = f"import {point.module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_splits_are_disjoint_and_none_is_empty(dataset: Any) -> None:
    splits = [set(dataset.video_ids(s)) for s in ("train", "select", "test")]
    assert all(splits)
    assert sum(map(len, splits)) == len(set.union(*splits))
    with pytest.raises(ValueError, match="none of train, select, test"):
        dataset.video_ids("val")


def test_ground_truth_fits_the_videos(dataset: Any) -> None:
    durations = dataset.durations_s()
    for split in ("train", "select", "test"):
        truth = dataset.ground_truth(split)
        assert truth.video_ids == dataset.video_ids(split)
        assert (truth.segments_s[:, 0] < truth.segments_s[:, 1]).all()
        ends = np.array([durations[truth.video_ids[v]] for v in truth.video])
        assert (truth.segments_s[:, 1] <= ends + 1e-6).all()
        assert truth.labels.max() < len(dataset.class_names)


def _batches(dataset: Any, **changes: Any) -> list[Any]:
    arguments: dict[str, Any] = {
        "sampling": Sampling("sparse", "uniform", 16, frames=FRAMES),
        "batch_size": 4,
        "supervision": "video_labels",
        "seed": 1,
        "epoch": 0,
    }
    return list(dataset.batches("train", **{**arguments, **changes}))


def _shown(batch: Any) -> torch.Tensor:
    """What a detector reads: (B, C, T) features or (B, 3, T, H, W) frames, never both."""
    assert (batch.feats is None) != (batch.frames is None)
    shown: torch.Tensor = batch.frames if batch.feats is None else batch.feats
    return shown


def test_a_data_set_holds_what_it_says(config: Any, dataset: Any) -> None:
    for batch in _batches(dataset):
        assert (batch.frames is None) == (config.inputs == "feats")
        assert _shown(batch).shape[:3] == (len(batch.video_ids), dataset.feat_dim, 16)
        assert batch.frames is None or (batch.frames.dtype == torch.uint8 and batch.frames.shape[3:] == FRAMES.crop)


def test_the_same_draws_for_the_same_seed_and_epoch(dataset: Any) -> None:
    a, b = _batches(dataset), _batches(dataset)
    assert [x.video_ids for x in a] == [x.video_ids for x in b]
    assert all(torch.equal(_shown(x), _shown(y)) for x, y in zip(a, b, strict=True))
    assert [x.video_ids for x in a] != [x.video_ids for x in _batches(dataset, epoch=1)]
    assert [x.video_ids for x in a] != [x.video_ids for x in _batches(dataset, seed=2)]


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_video_is_seen_once_whatever_the_number_of_workers(dataset: Any, world_size: int) -> None:
    alone = {v: f for b in _batches(dataset) for v, f in zip(b.video_ids, _shown(b), strict=True)}
    shared: dict[str, torch.Tensor] = {}
    for rank in range(world_size):
        for batch in _batches(dataset, rank=rank, world_size=world_size):
            for video, feats in zip(batch.video_ids, _shown(batch), strict=True):
                assert video not in shared
                shared[video] = feats
    assert shared.keys() == alone.keys()
    assert all(torch.equal(shared[v], alone[v]) for v in alone)


def test_supervision_is_a_wall(dataset: Any) -> None:
    for batch in _batches(dataset):
        assert batch.segments is None
        assert batch.frame_labels is None
        assert batch.video_labels.shape == (len(batch.video_ids), len(dataset.class_names))
    for batch in _batches(dataset, supervision="none"):
        assert batch.video_labels is None
        assert batch.segments is None


def test_full_supervision_is_the_ground_truth(dataset: Any) -> None:
    truth = dataset.ground_truth("train")
    for batch in _batches(dataset, supervision="segments", sampling=NATIVE, epoch=None):
        for i, video in enumerate(batch.video_ids):
            rows = truth.video == truth.video_ids.index(video)
            seconds = batch.start_s[i] + batch.segments[i].segments_grid * batch.seconds_per_sample[i]
            assert torch.allclose(seconds.double(), torch.from_numpy(truth.segments_s[rows]), atol=1e-3)
            assert batch.segments[i].labels.tolist() == truth.labels[rows].tolist()
            assert set(torch.nonzero(batch.video_labels[i])[:, 0].tolist()) == set(truth.labels[rows].tolist())


def test_padding_is_marked(dataset: Any) -> None:
    for batch in _batches(dataset, sampling=NATIVE, epoch=None):
        for inside, shown in zip(batch.valid_mask, _shown(batch), strict=True):
            last = shown[:, inside][:, -1:] if batch.feats is None else torch.zeros(1)
            assert torch.equal(shown[:, ~inside], last.expand_as(shown[:, ~inside]))
        for i, video in enumerate(batch.video_ids):
            length = float(batch.valid_mask[i].sum() * batch.seconds_per_sample[i])
            assert length == pytest.approx(dataset.durations_s()[video])


def test_permuted_labels_touch_training_alone(config: Any, dataset: Any, data_root: Path) -> None:
    import dataclasses

    control = dataclasses.replace(config, permute_labels=True).open(data_root)
    plain, other = _batches(dataset, epoch=None), _batches(control, epoch=None)
    assert all(torch.equal(_shown(a), _shown(b)) for a, b in zip(plain, other, strict=True))
    assert not all(torch.equal(a.video_labels, b.video_labels) for a, b in zip(plain, other, strict=True))
    totals = [sum(b.video_labels.sum(dim=0) for b in batches) for batches in (plain, other)]
    assert torch.equal(*totals)
    for split in ("select", "test"):
        assert np.array_equal(control.ground_truth(split).labels, dataset.ground_truth(split).labels)
    assert config.digest(data_root) == dataclasses.replace(config, permute_labels=True).digest(data_root)
