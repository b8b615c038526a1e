"""Stitched videos, checked from the store alone: every feature row says which clip it comes from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.features.store import FeatureStore, write_store
from trainables.data.inspection import shared_clips, store_annotations, summarise
from trainables.data.schema import SPLITS
from trainables.data.stitched.config import Config
from trainables.data.stitched.feature_clips import Clip, read_clips
from trainables.data.stitched.features import StitchSettings, choose_classes, stitch

PLAIN = StitchSettings(num_classes=3, num_videos=(8, 4, 5), standardise=False)


def _clips(counts: tuple[int, ...] = (16, 13, 12, 10, 9)) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [
        Clip(f"c{k}_{i}", f"c{k}", rng.normal(size=(int(rng.integers(1, 12)), 4)).astype(np.float32))
        for k, count in enumerate(counts)
        for i in range(count)
    ]


def _origin(clips: list[Clip]) -> dict[bytes, tuple[Clip, int]]:
    rows = {row.tobytes(): (clip, t) for clip in clips for t, row in enumerate(clip.features)}
    assert len(rows) == sum(map(len, clips)), "every row is of one clip only"
    return rows


def _check(store: FeatureStore, clips: list[Clip], settings: StitchSettings) -> None:
    """Read a store back without any of the builder's own notes."""
    origin = _origin(clips)
    seen: dict[str, set[str]] = {"train": set(), "select": set(), "test": set()}
    for index, video in enumerate(store.videos):
        sources = [origin[row.tobytes()] for row in store.features(index)]
        seen[video["split"]] |= {clip.name for clip, _ in sources}
        inside = np.full(len(sources), "", dtype=object)
        for segment in (s for s in store.segments if s["video_id"] == video["video_id"]):
            start, end = segment["start_s"] / settings.snippet_seconds, segment["end_s"] / settings.snippet_seconds
            assert (start, end) == pytest.approx((round(start), round(end)), abs=1e-9)
            first, last = sources[round(start)], sources[round(end) - 1]
            assert first[1] == 0, "an action begins with the first snippet of a clip"
            assert last[1] == min(len(last[0]), settings.max_snippets) - 1, "and ends with the last of one"
            inside[round(start) : round(end)] = store.class_names[segment["label"]]
        for (clip, _), name in zip(sources, inside, strict=True):
            assert (clip.label == name) if name else (clip.label not in store.class_names)
    assert not seen["train"] & seen["select"]
    assert not seen["train"] & seen["test"]
    assert not seen["select"] & seen["test"]


def _store(tmp_path: Path, clips: list[Clip], settings: StitchSettings) -> FeatureStore:
    write_store(tmp_path / "s", *stitch(clips, settings))
    return FeatureStore(tmp_path / "s")


def test_features_between_boundaries_are_the_clips(tmp_path: Path) -> None:
    clips = _clips()
    store = _store(tmp_path, clips, PLAIN)
    _check(store, clips, PLAIN)
    assert shared_clips(store) == []


def test_real_clips_with_the_defaults(tmp_path: Path, test_data: Path) -> None:
    clips = read_clips(test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz")
    assert sum(map(len, clips)) == 718
    settings = StitchSettings(standardise=False)
    store = _store(tmp_path, clips, settings)
    _check(store, clips, settings)
    assert shared_clips(store) == []
    assert [v["num_snippets"] for v in store.videos if not 60 <= v["num_snippets"] <= 150] == []
    for summary, videos in zip(summarise(store_annotations(store), SPLITS), (120, 40, 60), strict=True):
        assert summary.videos == videos
        assert min(summary.per_class.values()) >= 5
        assert 0.1 < summary.action_share < 0.4
        assert summary.overlapping == summary.beyond_end == 0
    assert store.verify()


def test_standardised_real_features_are_those_of_the_clips_rescaled(test_data: Path) -> None:
    clips = read_clips(test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz")
    by_name = {clip.name: clip.features for clip in clips}
    numbers = (10, 10, 10)
    plain, scaled = (stitch(clips, StitchSettings(num_videos=numbers, standardise=s))[0] for s in (False, True))
    a, b = (np.concatenate([v.features for v in videos]).astype(np.float64) for videos in (plain, scaled))
    assert [v.segments for v in plain] == [v.segments for v in scaled]
    for channel in (0, 100, 2047):
        slope, offset = np.polyfit(a[:, channel], b[:, channel], 1)
        assert np.allclose(slope * a[:, channel] + offset, b[:, channel], atol=1e-3)
    assert np.array_equal(np.concatenate([by_name[n][:16] for n in plain[0].clips]), plain[0].features)


def test_lengths_stay_within_the_range() -> None:
    settings = StitchSettings(num_classes=2, num_videos=(40, 20, 20), num_snippets=(40, 60))
    lengths = [len(v.features) for v in stitch(_clips(), settings)[0]]
    assert min(lengths) >= 40
    assert max(lengths) <= 60
    assert len(set(lengths)) > 8


def test_actions_follow_the_imbalance_of_the_clips() -> None:
    clips = _clips((48, 12, 12, 12))
    videos = stitch(clips, StitchSettings(num_classes=2, num_videos=(300, 10, 10)))[0]
    counts = Counter(s.label for v in videos if v.split == "train" for s in v.segments)
    assert counts[0] / (counts[0] + counts[1]) == pytest.approx(0.8, abs=0.05)


def test_every_class_is_in_every_split_with_room_for_it() -> None:
    videos, names, _ = stitch(_clips(), StitchSettings(num_classes=4, num_videos=(4, 4, 4)))
    for split in ("train", "select", "test"):
        assert {s.label for v in videos if v.split == split for s in v.segments} == set(range(len(names)))


def test_clips_of_an_action_touch_or_are_apart() -> None:
    for gap, touching in (((0, 0), True), ((1, 2), False)):
        settings = StitchSettings(
            num_classes=3,
            num_videos=(20, 5, 5),
            clips_per_action=(3, 3),
            gap=gap,
            num_snippets=(90, 120),
            max_snippets=4,
        )
        for video in (v for v in stitch(_clips(), settings)[0] if v.split == "train"):
            edges = np.cumsum([0, *(min(len(c), 4) for c in _by_name(video.clips))]) * settings.snippet_seconds
            per_segment = [
                ((edges[:-1] >= s.start_s - 1e-9) & (edges[1:] <= s.end_s + 1e-9)).sum() for s in video.segments
            ]
            assert set(per_segment) == ({3} if touching else {1})


def _by_name(names: tuple[str, ...]) -> list[Clip]:
    known = {clip.name: clip for clip in _clips()}
    return [known[name] for name in names]


def test_an_action_repeats_no_clip_while_there_are_others() -> None:
    for video in stitch(_clips(), PLAIN)[0]:
        for first, second, third in zip(video.clips, video.clips[1:], video.clips[2:], strict=False):
            if first.split("_")[0] == second.split("_")[0] in ("c0", "c1", "c2"):
                assert first != second
                assert first != third or third.split("_")[0] not in ("c0", "c1", "c2")


@pytest.mark.parametrize("shares", [(0.5, 0.2, 0.3), (0.6, 0.2, 0.2), (1.0, 1.0, 1.0)])
def test_clips_are_dealt_by_share(shares: tuple[float, float, float]) -> None:
    settings = StitchSettings(num_classes=3, num_videos=(400, 200, 200), shares=shares)
    videos = stitch(_clips((20, 20, 20, 20)), settings)[0]
    for label in range(4):
        used = [
            {n for v in videos if v.split == split for n in v.clips if n.startswith(f"c{label}_")}
            for split in ("train", "select", "test")
        ]
        assert [len(own) for own in used] == pytest.approx([20 * s / sum(shares) for s in shares], abs=1)


COUNTS = {"squat": 10, "bench press": 20, "push-up": 28, "leg raises": 7}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"num_classes": 2}, ["bench press", "push-up"]),
        ({"num_classes": 3, "min_clips": 10}, ["bench press", "push-up", "squat"]),
        ({"class_names": ("squat", "leg raises")}, ["leg raises", "squat"]),
    ],
)
def test_action_classes_are_the_largest_or_the_named(settings: dict[str, Any], names: list[str]) -> None:
    assert choose_classes(COUNTS, StitchSettings(**settings)) == names


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"class_names": ("push up",)}, "no clip is of class 'push up'; did you mean 'push-up'"),
        ({"num_classes": 3, "min_clips": 11}, r"min_clips: fewer than 11 clips of 'squat' \(10\)"),
        ({"num_classes": 4}, "leave none for the background"),
    ],
)
def test_classes_that_cannot_be_chosen(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        choose_classes(COUNTS, StitchSettings(**settings))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"num_snippets": (60, 40)}, "num_snippets"),
        ({"num_snippets": (60, 70)}, "must differ by max_snippets = 16 or more"),
        ({"clips_per_action": (0, 2)}, r"clips_per_action: \(0, 2\)"),
        ({"background": (0, 2)}, r"background: \(0, 2\)"),
        ({"shares": (0.5, 0.0, 0.5)}, "shares"),
        ({"second_class": 1.5}, "second_class: 1.5"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        StitchSettings(**settings)


def test_an_action_that_may_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num_snippets: 20 may have no room for an action of 'c0' in train"):
        stitch(_clips(), StitchSettings(num_classes=3, num_snippets=(20, 60)))


@pytest.mark.parametrize(
    ("name", "complaint"), [("squat.npy", "must be called <class>_<number>"), ("a/x_1.npy", "two files")]
)
def test_file_names_carry_the_class(tmp_path: Path, name: str, complaint: str) -> None:
    for path in (tmp_path / "x_1.npy", tmp_path / name):
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.zeros((2, 2)))
    with pytest.raises(ValueError, match=complaint):
        read_clips(tmp_path)


def test_a_cut_archive_is_refused(tmp_path: Path, test_data: Path) -> None:
    whole = (test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a readable tar archive"):
        read_clips(tmp_path / "cut.tar.xz")


def test_the_store_says_what_it_was_made_from(tmp_path: Path) -> None:
    clips = _clips()
    builder = _store(tmp_path, clips, PLAIN).manifest["builder"]
    assert (builder["name"], builder["seed"], builder["num_classes"]) == ("stitched", 0, 3)
    changed = [Clip(c.name, c.label, c.features + 1) for c in clips]
    assert stitch(changed, PLAIN)[2]["clips_digest"] != builder["clips_digest"]
    assert stitch(clips[::-1], PLAIN)[2]["clips_digest"] == builder["clips_digest"]


def test_the_data_set_opens_the_store_it_is_told(tmp_path: Path) -> None:
    write_store(tmp_path / "mine", *stitch(_clips(), PLAIN))
    config = Config(store="mine")
    config.prepare(tmp_path)
    dataset = config.open(tmp_path)
    assert dataset.class_names == ("c0", "c1", "c2")
    assert [len(dataset.video_ids(s)) for s in ("train", "select", "test")] == [8, 4, 5]
    with pytest.raises(FileNotFoundError, match=r"no data set at .*other.*tadtune data build stitched --clips"):
        Config(store="other").prepare(tmp_path)
