"""Frames that a data set hands out, against PyAV decoding every video in order and numpy doing the rest."""

from __future__ import annotations

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from trainables.config import FrameInput, Sampling
from trainables.data.frames.config import Config
from trainables.data.frames.dataset import FrameDataset
from trainables.data.frames.folder import open_folder, prepare_folder
from trainables.data.video.encode import write_mp4
from trainables.records import Batch

SIZE, CROP = (36, 48), (32, 40)
FRAMES = FrameInput(fps=12.5, size=SIZE, crop=CROP, mirror=True)
WINDOWS = Sampling(
    "window",
    "window",
    16,
    window_stride=(6, 12),
    both_ways=True,
    keep_ratio=0.7,
    min_inside=0.7,
    min_target=3.0,
    frames=FRAMES,
)
SEGMENTS = {
    "long": [(0.4, 1.6, "a"), (2.0, 2.2, "b")],
    "short": [(0.1, 0.9, "b")],
    "none": [],
    "other": [(1.0, 2.0, "a")],
}
LENGTHS = {"long": 97, "short": 25, "none": 60, "other": 75}


def _make(folder: Path) -> Path:
    """Videos at 25 frames/s whose frames are all different: two to train on, one with nothing, one to score."""
    (folder / "videos" / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    database = {}
    for name, length in LENGTHS.items():
        coarse = rng.integers(40, 200, (length, 8, 8, 3), np.uint8)
        path = folder / "videos" / ("sub" if name == "short" else "") / f"{name}.mp4"
        write_mp4(path, coarse.repeat(8, axis=1).repeat(8, axis=2), fps=Fraction(25), height=64, width=64)
        annotations = [{"segment": [start, end], "label": label} for start, end, label in SEGMENTS[name]]
        subset = {"none": "select", "other": "test"}.get(name, "train")
        database[name] = {"subset": subset, "duration": length / 25, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    _make(root / "stitched_videos")
    Config().prepare(root)
    return root


@pytest.fixture(scope="module")
def dataset(root: Path) -> FrameDataset:
    return Config().open(root)  # type: ignore[no-any-return]


def _batches(dataset: FrameDataset, split: str = "train", **changes: Any) -> list[Batch]:
    arguments: dict[str, Any] = {
        "sampling": WINDOWS, "batch_size": 3, "supervision": "segments", "seed": 0, "epoch": None
    }  # fmt: skip
    return list(dataset.batches(split, **{**arguments, **changes}))


def _reference(path: Path, size: tuple[int, int], fps: float) -> np.ndarray:
    """(M, H, W, 3) what is on screen at j / fps, decoded and scaled in order."""
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate or 0)
        shown = [
            picture.reformat(height=size[0], width=size[1], format="rgb24").to_ndarray()
            for picture in container.decode(video=0)
        ]
    times = [j / fps for j in range(10_000) if j / fps < len(shown) / rate - 1e-9]
    return np.stack([shown[int(time * rate + 1e-6)] for time in times])


def _inputs(batches: list[Batch]) -> list[tuple[str, float, int, np.ndarray]]:
    """Video, start, real frames, and (T, H, W, 3) of every input."""
    rows = []
    for batch in batches:
        assert batch.frames is not None
        frames = batch.frames.permute(0, 2, 3, 4, 1).numpy()
        rows += list(
            zip(batch.video_ids, batch.start_s.tolist(), batch.valid_mask.sum(1).tolist(), frames, strict=True)
        )
    return rows


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    """The same pictures, up to the rounding of two versions of one scaler; neighbours differ by far more."""
    return a.shape == b.shape and float(np.abs(a.astype(np.int16) - b).mean()) < 1.0


def test_test_windows_are_the_centre_of_what_is_on_screen(root: Path, dataset: FrameDataset) -> None:
    whole = {name: _reference(root / f"stitched_videos/videos/{name}.mp4", SIZE, 12.5) for name in ("none", "other")}
    for split, name, length in (("select", "none", 30), ("test", "other", 38)):
        assert len(whole[name]) == length
        found = _inputs(_batches(dataset, split))
        assert [start * 12.5 for _, start, _, _ in found] == pytest.approx(sorted({0, 12, length - 16} - {24}))
        for _, start_s, valid, frames in found:
            at = round(start_s * 12.5)
            assert valid == 16
            assert _close(frames, whole[name][at : at + 16, 2:34, 4:44])


def test_real_videos_against_a_plain_decoder(tmp_path: Path, test_data: Path) -> None:
    names = {"demo": ".mp4", "v_SoccerJuggling_g23_c01": ".avi", "flipping_a_pancake": ".mkv"}
    (tmp_path / "videos").mkdir()
    database = {}
    for (name, suffix), split in zip(names.items(), ("train", "select", "test"), strict=True):
        shutil.copy(test_data / "videos" / (name + suffix), tmp_path / "videos")
        database[name] = {"subset": split, "annotations": [{"segment": [0.5, 2.0], "label": "act"}]}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": database}))
    prepare_folder(tmp_path, "error", "")
    dataset = FrameDataset(tmp_path)
    frames = FrameInput(fps=10, size=(128, 171), crop=(112, 112))
    sampling = Sampling("window", "window", 32, window_stride=(32, 32), frames=frames)
    for (name, suffix), split in zip(names.items(), ("train", "select", "test"), strict=True):
        whole = _reference(tmp_path / "videos" / (name + suffix), (128, 171), 10)
        found = _inputs(_batches(dataset, split, sampling=sampling))
        assert len(found) == 1 + -(-max(0, len(whole) - 32) // 32)
        for _, start_s, valid, shown in found:
            at = round(start_s * 10)
            assert valid == min(32, len(whole))
            assert _close(shown[:valid], whole[at : at + valid, 8:120, 29:141])


def test_training_windows_go_both_ways_and_keep_seven_tenths(dataset: FrameDataset) -> None:
    """A slow loop over both directions and every instance."""
    expected: dict[tuple[str, int], list[tuple[float, float, int]]] = {}
    for name, length in (("long", 49), ("short", 13)):
        last = max(0, length - 16)
        offsets = [*range(0, last + 1, 6), *range(last, -1, -6)]
        for at in offsets:
            targets = []
            for start_s, end_s, label in SEGMENTS[name]:
                start, end = start_s * 12.5 - at, end_s * 12.5 - at
                left, right = max(start, 0.0), min(end, float(min(16, length)))
                if right - left >= 3 and (right - left) / (end - start) >= 0.7:
                    targets.append((left, right, ["a", "b"].index(label)))
            if targets:
                expected[name, at] = targets
    found = {}
    for batch in _batches(dataset, epoch=0):
        assert batch.segments is not None
        assert batch.seconds_per_sample.tolist() == [0.08] * len(batch.video_ids)
        for name, start_s, targets in zip(batch.video_ids, batch.start_s.tolist(), batch.segments, strict=True):
            rows = [(*s, k) for s, k in zip(targets.segments_grid.tolist(), targets.labels.tolist(), strict=True)]
            assert (name, round(start_s * 12.5)) not in found, "where both ways meet there is one window"
            found[name, round(start_s * 12.5)] = rows
    assert found.keys() == expected.keys()
    assert ("long", 33) not in expected, "the short instance at the end is no target, so its window is not used"
    for key, rows in found.items():
        assert np.allclose(np.asarray(rows), np.asarray(expected[key]), atol=1e-5)


def test_training_inputs_are_one_crop_each_and_mirrored_as_a_whole(root: Path, dataset: FrameDataset) -> None:
    folder = root / "stitched_videos/videos"
    whole = {
        "long": _reference(folder / "long.mp4", SIZE, 12.5),
        "short": _reference(folder / "sub/short.mp4", SIZE, 12.5),
    }
    seen = set()
    for epoch in range(3):
        for name, start_s, valid, frames in _inputs(_batches(dataset, epoch=epoch)):
            at = round(start_s * 12.5)
            looks = [
                (top, left, mirrored)
                for top in range(5)
                for left in range(9)
                for mirrored in (False, True)
                if _close(
                    frames[:valid, :, :: -1 if mirrored else 1],
                    whole[name][at : at + valid, top : top + 32, left : left + 40],
                )
            ]
            assert len(looks) == 1, "exactly one crop and direction explains all frames"
            seen.add(looks[0])
            assert (frames[valid:] == frames[valid - 1]).all(), "behind the end the last frame stays"
    assert len({top for top, _, _ in seen}) > 2
    assert len({left for _, left, _ in seen}) > 3
    assert {mirrored for _, _, mirrored in seen} == {False, True}


def test_draws_depend_on_seed_epoch_and_video_alone(dataset: FrameDataset) -> None:
    def by_window(batches: list[Batch]) -> dict[tuple[str, float], bytes]:
        return {(name, start): frames.tobytes() for name, start, _, frames in _inputs(batches)}

    alone = by_window(_batches(dataset, epoch=1, seed=4))
    assert alone == by_window(_batches(dataset, epoch=1, seed=4, batch_size=2))
    parts = [by_window(_batches(dataset, epoch=1, seed=4, rank=rank, world_size=2)) for rank in range(2)]
    assert not parts[0].keys() & parts[1].keys()
    assert parts[0] | parts[1] == alone
    for other in (by_window(_batches(dataset, epoch=2, seed=4)), by_window(_batches(dataset, epoch=1, seed=5))):
        assert other.keys() == alone.keys()
        assert other != alone


def test_two_passes_at_once_do_not_disturb_each_other(dataset: FrameDataset) -> None:
    def start() -> Any:
        return dataset.batches("train", sampling=WINDOWS, batch_size=2, supervision="none", seed=0, epoch=0)

    calm = dataclasses.replace(WINDOWS, min_inside=0.0)
    alone = _batches(dataset, sampling=calm, supervision="none", epoch=0)
    with pytest.raises(ValueError, match=r"sampling\.min_inside: 0\.7 reads segments"):
        start()
    turns = [
        iter(dataset.batches("train", sampling=calm, batch_size=3, supervision="none", seed=0, epoch=0))
        for _ in range(2)
    ]
    for expected, *found in zip(alone, *turns, strict=True):
        for batch in found:
            assert torch.equal(batch.frames, expected.frames)
            assert batch.segments is batch.video_labels is None


def test_a_pass_that_is_left_early_leaves_the_next_one_alone(dataset: FrameDataset) -> None:
    for _ in dataset.batches("train", sampling=WINDOWS, batch_size=1, supervision="segments", seed=0, epoch=0):
        break
    first, again = _batches(dataset, "test"), _batches(dataset, "test")
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(first, again, strict=True))  # type: ignore[arg-type]


def test_controls(root: Path, dataset: FrameDataset) -> None:
    overfit = Config(overfit=True).open(root)
    assert overfit.video_ids("test") == overfit.video_ids("select") == dataset.video_ids("train") == ("long", "short")
    permuted = Config(permute_labels=True).open(root)
    plain, other = dataset.ground_truth("train"), permuted.ground_truth("train")
    assert sorted(plain.labels.tolist()) == sorted(other.labels.tolist())
    assert other.labels[other.video == 1].tolist() == plain.labels[plain.video == 0].tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": None}, r"sampling\.frames: is None, and the data are videos"),
        ({"test": "rescale"}, r"sampling\.test: 'rescale' needs features"),
        ({"train": "shot"}, r"sampling\.train: 'shot' needs features"),
        ({"min_target": -1.0}, r"sampling\.min_target: -1\.0 must be 0 or more"),
    ],
)
def test_samplings_that_frames_cannot_have(dataset: FrameDataset, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _batches(dataset, sampling=dataclasses.replace(WINDOWS, **changes))


def test_training_inputs_of_drawn_sizes(root: Path, dataset: FrameDataset) -> None:
    """Every input is one crop of the video at one of the sizes, its frames alike; test inputs have the fixed size."""
    frames = FrameInput(fps=12.5, size=SIZE, crop=(32, 32), train_sides=(32, 36))
    sampling = dataclasses.replace(WINDOWS, frames=frames)
    path = root / "stitched_videos/videos/long.mp4"
    sizes = [(h, w) for h in range(32, 36) for w in range(32, 36)]
    whole = {size: _reference(path, size, 12.5).astype(np.int16) for size in sizes}
    seen = set()
    for epoch in range(2):
        for name, start_s, valid, shown in _inputs(_batches(dataset, sampling=sampling, epoch=epoch)):
            if name != "long":
                continue
            at = round(start_s * 12.5)
            differences = {
                (h, w): min(
                    float(np.abs(video[at : at + valid, top : top + 32, left : left + 32] - shown[:valid]).mean())
                    for top in range(h - 31)
                    for left in range(w - 31)
                )
                for (h, w), video in whole.items()
            }
            best = min(differences, key=lambda size: differences[size])
            assert differences[best] < 1.0
            seen.add(best)
    assert len({h for h, _ in seen}) > 1
    assert len({w for _, w in seen}) > 1
    (fixed, *_) = _inputs(_batches(dataset, "select", sampling=sampling))
    assert _close(fixed[3], _reference(root / "stitched_videos/videos/none.mp4", SIZE, 12.5)[:16, 2:34, 8:40])


def test_every_fourth_frame_with_the_aspect_ratio_kept(root: Path, dataset: FrameDataset) -> None:
    """Whole videos at test, a clip of the same spacing in training, at one of two sizes; all is square here."""
    frames = FrameInput(fps=25, size=32, crop=(32, 32), train_short_sides=(40, 56))
    sampling = Sampling("clip", "native", 6, stride=4, frames=frames)
    (whole,) = _inputs(_batches(dataset, "test", sampling=sampling))
    assert whole[2] == 19
    assert _close(whole[3], _reference(root / "stitched_videos/videos/other.mp4", (32, 32), 25)[::4])
    path = root / "stitched_videos/videos/long.mp4"
    references = {side: _reference(path, (side, side), 25).astype(np.int16) for side in (40, 56)}
    seen = set()
    for epoch in range(6):
        for name, start_s, valid, shown in _inputs(_batches(dataset, sampling=sampling, epoch=epoch)):
            if name != "long":
                assert valid == 6
                continue
            at = round(start_s * 25)
            differences = {
                side: min(
                    float(np.abs(video[at : at + 24 : 4, top : top + 32, left : left + 32] - shown).mean())
                    for top in range(side - 31)
                    for left in range(side - 31)
                )
                for side, video in references.items()
            }
            best = min(differences, key=lambda side: differences[side])
            assert differences[best] < 1.0
            seen.add(best)
    assert seen == {40, 56}


def test_bad_requests_are_refused_at_once(dataset: FrameDataset) -> None:
    arguments: dict[str, Any] = {"sampling": WINDOWS, "supervision": "segments", "seed": 0, "epoch": 0}
    for split, size, words in (
        ("train", 0, "batch_size: 0"),
        ("trimmed", 1, "no trimmed clips"),
        ("val", 1, "none of train"),
    ):
        with pytest.raises(ValueError, match=words):
            dataset.batches(split, batch_size=size, **arguments)
    for fps, size, crop, words in (
        (0.0, SIZE, CROP, "fps: 0.0"),
        (5.0, SIZE, (37, 40), "crop"),
        (5.0, SIZE, (0, 4), "crop"),
        (5.0, 31, (32, 4), "crop"),
    ):
        with pytest.raises(ValueError, match=words):
            FrameInput(fps, size, crop)
    for short_sides, sides in (((31, 40), None), ((), None), ((40,), (40, 48))):
        with pytest.raises(ValueError, match="train_short_sides"):
            FrameInput(5.0, 32, (32, 32), train_short_sides=short_sides, train_sides=sides)


def test_damaged_videos_are_an_error_or_left_out_and_listed(root: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(root / "stitched_videos", tmp_path / "stitched_videos")
    whole = Config().digest(root)
    damaged = folder / "videos/long.mp4"
    damaged.write_bytes(damaged.read_bytes()[:-4000])
    (folder / "videos/other.mp4").unlink()
    with pytest.raises(ValueError, match="start the study anew"):
        open_folder(folder, "error")
    with pytest.raises(
        ValueError, match=r"2 of 4 videos cannot be used; the first is 'long': .*; fetch it again, or set"
    ):
        Config().prepare(tmp_path)
    config = Config(damaged="exclude")
    config.prepare(tmp_path)
    first, second = config.remarks(tmp_path)
    assert first.startswith("video 'long' left out: ")
    assert second == "video 'other' left out: no file of this name"
    opened = config.open(tmp_path)
    assert [opened.video_ids(split) for split in ("train", "select", "test")] == [("short",), ("none",), ()]
    assert config.digest(tmp_path) != whole
    (folder / "videos/sub/short.mp4").write_bytes(b"")
    (folder / "videos/none.mp4").write_text("not a video")
    with pytest.raises(ValueError, match="none of 4 annotated videos can be used"):
        config.prepare(tmp_path)


def test_an_annotation_that_does_not_fit_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tadtune data build stitched-videos"):
        Config().prepare(tmp_path)
    folder = shutil.copytree(root / "stitched_videos", tmp_path / "stitched_videos")
    with pytest.raises(FileNotFoundError, match="no inventory"):
        (folder / "inventory.json").unlink()
        Config().open(tmp_path)
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    content["database"]["other"]["duration"] = 30.0
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"'other': is 3\.00 s long, and 30\.00 s in the annotation"):
        Config().prepare(tmp_path)
    content["database"]["long"]["subset"] = "validation"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="video 'long': subset 'validation' is none of train, select, test"):
        Config().prepare(tmp_path)
    with pytest.raises(ValueError, match="names no folder"):
        Config(store="..")
