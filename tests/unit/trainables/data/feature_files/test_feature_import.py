"""Annotations and feature files become a store: whole, exact in time, and open about what is not in it."""

from __future__ import annotations

import dataclasses
import json
import tarfile
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from split_values import splits_of

from trainables.config import Sampling
from trainables.data.annotations import AnnotatedVideo, AnnotationSet, Fault
from trainables.data.feature_files.arrays import array_names
from trainables.data.feature_files.importing import ImportSettings, import_features
from trainables.data.feature_files.locate import FeatureFiles
from trainables.data.feature_files.timing import SnippetTiming
from trainables.data.features.dataset import FeatureDataset
from trainables.data.schema import Segment
from trainables.data.splits import cut_subsets

TIMING = SnippetTiming(16, 16)
NATIVE = Sampling("native", "native", 1)


def _video(name: str, subset: str = "training", duration_s: float | None = 16.0, **changes: Any) -> AnnotatedVideo:
    segments = (Segment(2.0, 5.0, 0), Segment(7.0, 8.0, 1, ambiguous=True))
    return AnnotatedVideo(**{**vars(AnnotatedVideo(name, subset, duration_s, 30.0, segments)), **changes})


def _annotations(*videos: AnnotatedVideo) -> AnnotationSet:
    return AnnotationSet("test", ("jump", "run"), videos, (Fault("odd", 2, "row 3", "kept"),))


def _feats(seed: int, length: int = 30, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, width)).astype(np.float32)


@pytest.fixture
def rgb(tmp_path: Path) -> Path:
    folder = tmp_path / "rgb"
    folder.mkdir()
    for i, name in enumerate("abc"):
        np.save(folder / f"{name}.npy", _feats(i))
    return folder


VIDEOS = _annotations(_video("a"), _video("b"), _video("c", "test"))
SPLITS = splits_of({"a": "train", "b": "select", "c": "test"})


def test_everything_arrives(tmp_path: Path, rgb: Path) -> None:
    settings = ImportSettings((FeatureFiles(rgb, channels=4),), TIMING)
    store = import_features(tmp_path / "s", VIDEOS, SPLITS, settings)
    assert store.class_names == ("jump", "run")
    assert [(v["video_id"], v["split"], v["subset"]) for v in store.videos] == [
        ("a", "train", "training"),
        ("b", "select", "training"),
        ("c", "test", "test"),
    ]
    assert {(v["duration_s"], v["fps"], v["snippet_seconds"]) for v in store.videos} == {(16.0, 30.0, 16 / 30)}
    for i in range(3):
        assert np.array_equal(store.features(i), _feats(i))
    assert [(s["video_id"], s["start_s"], s["end_s"], s["label"], s["ambiguous"]) for s in store.segments[:2]] == [
        ("a", 2.0, 5.0, 0, False),
        ("a", 7.0, 8.0, 1, True),
    ]
    assert store.excluded == {}
    assert store.verify()
    builder = store.manifest["builder"]
    assert builder["faults"] == [{"rule": "odd", "count": 2, "first": "row 3", "action": "kept"}]
    assert builder["timing"] == {"len_frames": 16, "stride_frames": 16, "fps": None, "first_frame": 0}
    assert builder["streams"] == [
        {"source": "rgb", "name": "{video_id}", "key": None, "layout": None, "channels": 4}
    ], "no path of this machine"


def test_the_order_of_the_streams_is_the_order_of_the_channels(tmp_path: Path, rgb: Path) -> None:
    flow = tmp_path / "flow.h5"
    with h5py.File(flow, "w") as file:
        for i, name in enumerate("abc"):
            file[name] = _feats(10 + i, width=3).T.astype(np.float64)
    streams = (FeatureFiles(rgb, channels=4), FeatureFiles(flow, channels=3))
    for number, order in enumerate(((0, 1), (1, 0))):
        settings = ImportSettings(tuple(streams[i] for i in order), TIMING)
        store = import_features(tmp_path / f"s{number}", VIDEOS, SPLITS, settings)
        parts = [_feats(0), _feats(10, width=3)]
        assert np.array_equal(store.features(0), np.concatenate([parts[i] for i in order], axis=1))


def test_unequal_streams_are_cut_within_the_tolerance_and_counted(tmp_path: Path, rgb: Path) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    for name, length in zip("abc", (30, 29, 31), strict=True):
        np.save(flow / f"{name}.npy", _feats(5, length))
    streams = (FeatureFiles(rgb, channels=4), FeatureFiles(flow, channels=4))
    with pytest.raises(ValueError, match=r"'b': streams have .*\(rgb 30, flow 29\), at most 0 of difference"):
        import_features(tmp_path / "s", VIDEOS, SPLITS, ImportSettings(streams, TIMING))
    store = import_features(tmp_path / "s", VIDEOS, SPLITS, ImportSettings(streams, TIMING, length_tolerance=1))
    assert [v["num_snippets"] for v in store.videos] == [30, 29, 30]
    assert store.manifest["builder"]["cut_snippets"] == {"b": 1, "c": 1}


def test_a_video_without_features_is_an_error_or_is_listed(tmp_path: Path, rgb: Path) -> None:
    (rgb / "b.npy").unlink()
    np.save(rgb / "other.npy", _feats(0))
    annotations = _annotations(*VIDEOS.videos, _video("d", "testing"))
    settings = ImportSettings((FeatureFiles(rgb, channels=4),), TIMING)
    with pytest.raises(ValueError, match=r"1 of 3 videos have no features \(b\), looked for \{video_id\} in .*rgb"):
        import_features(tmp_path / "s", annotations, SPLITS, settings)
    store = import_features(tmp_path / "s", annotations, SPLITS, dataclasses.replace(settings, missing="exclude"))
    assert [v["video_id"] for v in store.videos] == ["a", "c"]
    assert store.excluded == {"b": "no features in rgb", "d": "no split"}
    assert store.manifest["builder"]["unused_features"] == 1


@pytest.mark.parametrize("timing", [SnippetTiming(16, 4), SnippetTiming(64, 16, Fraction(30000, 1001), -8)])
def test_an_event_in_the_frames_is_found_at_its_feature(tmp_path: Path, timing: SnippetTiming) -> None:
    """A feature that sees one frame more than any other marks that frame's time, through every axis."""
    fps = timing.fps or Fraction(30)
    length, frame = 100, 237
    windows = timing.first_frame + timing.stride_frames * np.arange(length) + timing.len_frames / 2
    features = -np.abs(windows - (frame + 0.5))[:, None].astype(np.float32)
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "a.npy", features)
    event = (float(frame / fps), float((frame + 1) / fps))
    video = _video("a", duration_s=None, segments=(Segment(*event, 0),))
    settings = ImportSettings((FeatureFiles(tmp_path / "f", channels=1),), timing)
    import_features(tmp_path / "s", _annotations(video), splits_of({"a": "train"}), settings)
    dataset = FeatureDataset(tmp_path / "s")
    (batch,) = dataset.batches("train", sampling=NATIVE, batch_size=1, supervision="segments", seed=0, epoch=None)
    assert batch.feats is not None
    assert batch.segments is not None
    nearest = int(batch.feats[0, 0].argmax())
    centre = batch.segments[0].segments_grid.double().mean()
    assert abs(float(centre) - (nearest + 0.5)) <= 0.5 + 1e-5
    seconds = batch.start_s[0] + (torch.arange(length, dtype=torch.float64) + 0.5) * batch.seconds_per_sample[0]
    exact = [float((Fraction(w)) / fps) for w in windows.tolist()]
    assert seconds.tolist() == pytest.approx(exact, rel=1e-14, abs=1e-13)


def test_features_spread_over_the_duration(tmp_path: Path, rgb: Path) -> None:
    settings = ImportSettings((FeatureFiles(rgb, channels=4),), None)
    store = import_features(tmp_path / "s", VIDEOS, SPLITS, settings)
    assert {v["snippet_seconds"] * v["num_snippets"] for v in store.videos} == {16.0}
    with pytest.raises(ValueError, match="video 'a': no duration over which its features could be spread"):
        import_features(tmp_path / "t", _annotations(_video("a", duration_s=None)), splits_of({"a": "train"}), settings)


@pytest.mark.parametrize(
    ("video", "timing", "complaint"),
    [
        ({"fps": None}, TIMING, "video 'a': no frame rate in the annotation; give the features' own"),
        ({}, SnippetTiming(16, 8), r"video 'a': 30 windows of 16 .* every 8 at 30 fps end at 8\.27 s, .* at 16\.00 s"),
        ({"fps": 15.0}, TIMING, "the stride or the rate is wrong, or raise duration_tolerance"),
        ({"segments": (Segment(2.0, 1.0, 0),)}, TIMING, r"video 'a': row 0: .* must have 0 <= start < end"),
        ({"segments": (Segment(1.0, 2.0, 7),)}, TIMING, "must have one of 2 labels"),
    ],
)
def test_annotations_that_do_not_fit_leave_nothing(
    tmp_path: Path, rgb: Path, video: dict[str, Any], timing: SnippetTiming, complaint: str
) -> None:
    settings = ImportSettings((FeatureFiles(rgb, channels=4),), timing)
    with pytest.raises(ValueError, match=complaint):
        import_features(tmp_path / "s", _annotations(_video("a", **video)), splits_of({"a": "train"}), settings)
    assert [p.name for p in tmp_path.iterdir()] == ["rgb"]


def test_a_bad_number_late_in_the_work_leaves_nothing(tmp_path: Path, rgb: Path) -> None:
    bad = _feats(2)
    bad[7, 1] = np.inf
    np.save(rgb / "c.npy", bad)
    with pytest.raises(ValueError, match=r"c\.npy: snippet 7 of 30"):
        import_features(tmp_path / "s", VIDEOS, SPLITS, ImportSettings((FeatureFiles(rgb, channels=4),), TIMING))
    assert [p.name for p in tmp_path.iterdir()] == ["rgb"]


@pytest.mark.parametrize(
    ("splits", "complaint"),
    [
        ({"z": "train"}, "splits: video 'z' is not in the annotations"),
        ({}, "a data set without videos"),
    ],
)
def test_splits_that_do_not_fit(tmp_path: Path, rgb: Path, splits: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        import_features(
            tmp_path / "s", VIDEOS, splits_of(splits), ImportSettings((FeatureFiles(rgb, channels=4),), TIMING)
        )
    with pytest.raises(ValueError, match="annotations: video 'a' is there 2 times"):
        settings = ImportSettings((FeatureFiles(rgb, channels=4),), TIMING)
        import_features(tmp_path / "s", _annotations(_video("a"), _video("a")), splits_of({}), settings)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"streams": ()}, "streams: a store needs at least one"),
        ({"missing": "skip"}, "missing: 'skip' is none of refuse, exclude"),
        ({"length_tolerance": -1}, "length_tolerance: -1 must be 0 or more"),
        ({"duration_tolerance": float("nan")}, "duration_tolerance: nan must be 0 or more"),
    ],
)
def test_settings_that_cannot_work(rgb: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ImportSettings(**{"streams": (FeatureFiles(rgb, channels=4),), "timing": TIMING, **changes})


def test_one_video_is_in_memory_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for i in range(12):
        np.save(folder / f"v{i}.npy", _feats(i, 2000, 128).astype(np.float64))
    videos = [_video(f"v{i}", duration_s=2000 * 16 / 30) for i in range(12)]
    settings = ImportSettings((FeatureFiles(folder, channels=128),), TIMING)
    one = 2000 * 128 * 4
    tracemalloc.start()
    try:
        import_features(
            tmp_path / "s", _annotations(*videos), splits_of({v.video_id: "train" for v in videos}), settings
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert one < peak < 4 * one, "of twelve"


def test_a_real_video_with_its_annotation(tmp_path: Path, test_data: Path) -> None:
    folder = test_data / "features" / "highjump"
    row = json.loads((folder / "gt.json").read_text())["GT"]["highjump.npy"]
    start, end = row["annotations"][0]["segment"]
    video = AnnotatedVideo("highjump", row["subset"], row["duration"], row["fps"], (Segment(start, end, 0),))
    annotations = AnnotationSet("ActionFormer", ("HighJump",), (video,), ())
    settings = ImportSettings((FeatureFiles(folder, channels=2048),), SnippetTiming(16, 4))
    store = import_features(tmp_path / "s", annotations, splits_of({"highjump": "test"}), settings)
    original = np.load(folder / "highjump.npy", allow_pickle=False)
    assert np.array_equal(store.features(0), original.astype(np.float32))
    assert store.start_s(0) == pytest.approx(0.2)
    dataset = FeatureDataset(tmp_path / "s")
    (batch,) = dataset.batches("test", sampling=NATIVE, batch_size=1, supervision="segments", seed=0, epoch=None)
    assert batch.segments is not None
    # ActionFormer's grid holds the middle of feature t at t, ours at t + 1/2
    expected = [(s * 30 - 8) / 4 + 0.5 for s in (start, end)]
    assert batch.segments[0].segments_grid[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_real_features_of_mmaction2(tmp_path: Path, test_data: Path) -> None:
    folder = test_data / "features" / "mmaction2"
    rows = json.loads((folder / "action_test_anno.json").read_text())
    names = sorted({a["label"] for row in rows.values() for a in row["annotations"]})
    videos = tuple(
        AnnotatedVideo(name, "any", row["duration_second"], row["fps"],
                       tuple(Segment(*a["segment"], names.index(a["label"])) for a in row["annotations"]))
        for name, row in rows.items()
    )  # fmt: skip
    annotations = AnnotationSet("mmaction2", tuple(names), videos, ())
    settings = ImportSettings((FeatureFiles(folder, channels=400),), None)
    store = import_features(tmp_path / "s", annotations, splits_of(dict.fromkeys(rows, "test")), settings)
    assert [(v["num_snippets"], v["snippet_seconds"]) for v in store.videos] == [(5, 0.2), (5, 0.4)]
    assert store.segments[1] == {
        "video_id": "v_test2", "start_s": 1.0, "end_s": 2.0, "label": names.index("Drinking beer"), "ambiguous": False
    }  # fmt: skip


def test_real_global_features_of_thumos(tmp_path: Path, test_data: Path) -> None:
    path = test_data / "features" / "thumos14_tsp_gvf" / "r2plus1d_34-max_gvf.h5"
    names = array_names(path)
    videos = tuple(AnnotatedVideo(name, name.split("_")[1], 10.0, None, ()) for name in names)
    annotations = AnnotationSet("names", ("any",), videos, ())
    splits = cut_subsets(annotations, train=["validation"], test=["test"], num_select=20, seed=0)
    store = import_features(
        tmp_path / "s", annotations, splits, ImportSettings((FeatureFiles(path, channels=512),), None)
    )
    counts = [sum(v["split"] == split for v in store.videos) for split in ("train", "select", "test")]
    assert counts == [180, 20, 213]
    with h5py.File(path) as file:
        assert np.array_equal(store.features(412)[0], file[names[412]])


def test_real_scores_of_50_salads(tmp_path: Path, test_data: Path) -> None:
    folder = test_data / "50salads"
    names = tuple((folder / "splits" / "Split_3" / "test.txt").read_text().split())
    path = folder / "mid" / "mid_video_SVM" / "Split_3.mat"
    videos = tuple(AnnotatedVideo(name, "test", 300.0, None, ()) for name in names)
    settings = ImportSettings((FeatureFiles(path, layout="tc", channels=18, cells=names, key="S"),), None)
    store = import_features(
        tmp_path / "s", AnnotationSet("names", ("any",), videos, ()), splits_of(dict.fromkeys(names, "test")), settings
    )
    assert len(store.videos) == 10
    assert store.feat_dim == 18
    assert store.manifest["builder"]["unused_features"] == 0


def test_real_clips_as_whole_videos(tmp_path: Path, test_data: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    with tarfile.open(test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".npy") else None
            if stream is not None:
                (folder / Path(member.name).name).write_bytes(stream.read())
    ids = sorted(path.stem for path in folder.iterdir())
    classes = sorted({name.rsplit("_", 1)[0] for name in ids})
    videos = tuple(
        AnnotatedVideo(name, "any", None, 30.0, (Segment(0.0, 0.5, classes.index(name.rsplit("_", 1)[0])),))
        for name in ids
    )
    annotations = AnnotationSet("names", tuple(classes), videos, ())
    settings = ImportSettings((FeatureFiles(folder, channels=2048),), TIMING)
    store = import_features(tmp_path / "s", annotations, splits_of(dict.fromkeys(ids, "train")), settings)
    assert (len(store.videos), len(store.class_names), store.feat_dim) == (254, 21, 2048)
    assert [v["num_snippets"] for v in store.videos] == [len(np.load(folder / f"{name}.npy")) for name in ids]
    assert store.verify()
