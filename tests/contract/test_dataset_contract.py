"""What every data set must hold, whoever ships it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.config import Sampling
from trainables.data.clips import Clip
from trainables.data.stitched import StitchSettings, stitch
from trainables.data.store import write_store

NAMES = [p.name for p in entry_points(group="tadtune.datasets") if p.value.startswith("trainables.")]
NATIVE = Sampling("native", "native", 16)


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
    return root


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
        "sampling": Sampling("sparse", "uniform", 16),
        "batch_size": 4,
        "supervision": "video_labels",
        "seed": 1,
        "epoch": 0,
    }
    return list(dataset.batches("train", **{**arguments, **changes}))


def test_the_same_draws_for_the_same_seed_and_epoch(dataset: Any) -> None:
    a, b = _batches(dataset), _batches(dataset)
    assert [x.video_ids for x in a] == [x.video_ids for x in b]
    assert all(torch.equal(x.feats, y.feats) for x, y in zip(a, b, strict=True))
    assert [x.video_ids for x in a] != [x.video_ids for x in _batches(dataset, epoch=1)]
    assert [x.video_ids for x in a] != [x.video_ids for x in _batches(dataset, seed=2)]


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_video_is_seen_once_whatever_the_number_of_workers(dataset: Any, world_size: int) -> None:
    alone = {v: f for b in _batches(dataset) for v, f in zip(b.video_ids, b.feats, strict=True)}
    shared: dict[str, torch.Tensor] = {}
    for rank in range(world_size):
        for batch in _batches(dataset, rank=rank, world_size=world_size):
            for video, feats in zip(batch.video_ids, batch.feats, strict=True):
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
        outside = ~batch.valid_mask[:, None].expand_as(batch.feats)
        assert not batch.feats[outside].any()
        for i, video in enumerate(batch.video_ids):
            length = float(batch.valid_mask[i].sum() * batch.seconds_per_sample[i])
            assert length == pytest.approx(dataset.durations_s()[video])


def test_permuted_labels_touch_training_alone(config: Any, dataset: Any, data_root: Path) -> None:
    import dataclasses

    control = dataclasses.replace(config, permute_labels=True).open(data_root)
    plain, other = _batches(dataset, epoch=None), _batches(control, epoch=None)
    assert all(torch.equal(a.feats, b.feats) for a, b in zip(plain, other, strict=True))
    assert not all(torch.equal(a.video_labels, b.video_labels) for a, b in zip(plain, other, strict=True))
    totals = [sum(b.video_labels.sum(dim=0) for b in batches) for batches in (plain, other)]
    assert torch.equal(*totals)
    for split in ("select", "test"):
        assert np.array_equal(control.ground_truth(split).labels, dataset.ground_truth(split).labels)
    assert config.digest(data_root) == dataclasses.replace(config, permute_labels=True).digest(data_root)
