"""Stitched video files, checked from the files alone: what each decoded frame shows against the annotation."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from encoded_videos import decode_in_order, encode
from typer.testing import CliRunner

from trainables.data.readers import read_annotations
from trainables.data.stitched.videos import VideoStitchSettings, frame_plan, join, stitch_videos
from trainables.data.video.encode import write_mp4
from trainables.data.video.errors import VideoError
from trainables.data.video.geometry import FrameTransform
from trainables.data.video.reader import VideoReader
from trainables.entrypoints.video_commands import stitched_videos

#: A level of grey for each class; the background's classes are the last two.
GREY = {"jump": 40, "run": 90, "throw": 140, "idle": 190, "wait": 230}


def _settings(fps: float = 20, **changes: Any) -> VideoStitchSettings:
    plan, rate = frame_plan(
        fps,
        class_names=("jump", "run", "throw"),
        num_videos=(4, 2, 3),
        num_snippets=(80, 120),
        clips_per_action=(1, 2),
        background=(1, 2),
        max_snippets=20,
        seed=3,
    )
    return replace(VideoStitchSettings(plan, rate, height=32, width=64), **changes)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain grey clips, of the colour of their class, at three rates."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for label, grey in GREY.items():
        (folder / label).mkdir()
        for number in range(6):
            length = int(rng.integers(8, 40))
            frames = np.full((length, 48, 64, 3), grey, np.uint8)
            encode(folder / label / f"v_{number}.mp4", frames, fps=(10, 25, 30)[number % 3])
    (folder / "jump" / "notes.txt").write_text("not a clip")
    return folder


def _shown(frames: np.ndarray[Any, np.dtype[np.uint8]]) -> list[str]:
    """Class whose grey each frame shows."""
    names, levels = list(GREY), np.asarray(list(GREY.values()))
    greys = frames.reshape(len(frames), -1).mean(axis=1)
    distance = np.abs(greys[:, None] - levels)
    assert distance.min(axis=1).max() < 8
    return [names[i] for i in distance.argmin(axis=1)]


def _segments_of(shown: list[str], fps: Fraction) -> list[tuple[str, Fraction, Fraction]]:
    result, end = [], 0
    for label, run in groupby(shown):
        start, end = end, end + len(list(run))
        if label in ("jump", "run", "throw"):
            result.append((label, Fraction(start) / fps, Fraction(end) / fps))
    return result


@pytest.mark.parametrize("fps", [20, 30000 / 1001])
def test_boundaries_in_decoded_frames_are_those_of_the_annotation(
    reader: VideoReader, clips: Path, tmp_path: Path, fps: float
) -> None:
    settings = _settings(fps)
    videos, names = stitch_videos(clips, tmp_path / "out", settings, reader)
    assert names == ["jump", "run", "throw"]
    assert [sum(v.split == s for v in videos) for s in ("train", "select", "test")] == [4, 2, 3]
    database = json.loads((tmp_path / "out/annotations.json").read_text())["database"]
    assert set(database) == {video.video_id for video in videos}
    used: dict[str, set[str]] = {"train": set(), "select": set(), "test": set()}
    for video in videos:
        path = tmp_path / "out/videos" / f"{video.video_id}.mp4"
        frames = decode_in_order(path)
        entry = database[video.video_id]
        assert len(frames) == video.num_frames
        assert 80 <= len(frames) <= 120
        assert entry["duration"] == pytest.approx(float(len(frames) / settings.fps))
        found = _segments_of(_shown(frames), settings.fps)
        annotated = [(a["label"], *a["segment"]) for a in entry["annotations"]]
        assert [label for label, _, _ in annotated] == [label for label, _, _ in found]
        times = np.asarray([[start, end] for _, start, end in found], np.float64)
        assert np.abs(np.asarray([a[1:] for a in annotated]) - times).max() < 1e-9
        assert [(names[s.label], s.start_s, s.end_s) for s in video.segments] == annotated
        assert entry["subset"] == video.split
        used[video.split] |= set(video.clips)
        info = reader.probe(path)
        assert (info.num_frames, info.fps, info.variable_rate) == (len(frames), settings.fps, False)
        assert reader.read(path, [0]).decoders[0].name == "decord"
    assert not used["train"] & used["select"]
    assert not used["train"] & used["test"]
    assert not used["select"] & used["test"]


def test_the_annotation_is_read_by_the_reader_of_activitynets_form(
    reader: VideoReader, clips: Path, tmp_path: Path
) -> None:
    videos, names = stitch_videos(clips, tmp_path / "out", _settings(overlap=0.5), reader)
    read = read_annotations(tmp_path / "out/annotations.json")
    assert read.faults == ()
    assert list(read.class_names) == names
    assert {v.video_id: (v.subset, v.segments) for v in read.videos} == {
        v.video_id: (v.split, v.segments) for v in videos
    }


@pytest.mark.parametrize("style", ["side_by_side", "blend"])
def test_overlapping_actions_are_both_annotated_and_both_seen(
    reader: VideoReader, clips: Path, tmp_path: Path, style: Any
) -> None:
    settings = _settings(overlap=0.7, overlap_style=style)
    videos, names = stitch_videos(clips, tmp_path / "out", settings, reader)
    both = 0
    for video in videos:
        frames = decode_in_order(tmp_path / "out/videos" / f"{video.video_id}.mp4")
        active = np.zeros((len(frames), len(names)), bool)
        for segment in video.segments:
            first, last = (round(float(t * settings.fps)) for t in (segment.start_s, segment.end_s))
            active[first:last, segment.label] = True
        assert active.sum(axis=1).max() <= 2
        left, right = frames[:, :, :30].mean(axis=(1, 2, 3)), frames[:, :, 34:].mean(axis=(1, 2, 3))
        for number, on in enumerate(active):
            shown = sorted([left[number], right[number]])
            wanted = _possible([GREY[names[k]] for k in np.flatnonzero(on)], style)
            assert min(np.abs(np.subtract(shown, pair)).max() for pair in wanted) < 8
        both += int((active.sum(axis=1) == 2).sum())
    assert both > 50


def _possible(levels: list[int], style: str) -> list[list[float]]:
    """Greys of the two halves for the actions annotated: a second action may go on over the background."""
    behind = [GREY["idle"], GREY["wait"]]
    pairs = {
        2: [sorted(levels)],
        1: [levels * 2] + [sorted([*levels, grey]) for grey in behind],
        0: [[grey, grey] for grey in behind],
    }[len(levels)]
    return [[sum(pair) / 2] * 2 if style == "blend" else [float(grey) for grey in pair] for pair in pairs]


def test_two_pictures_in_one() -> None:
    first, second = (np.random.default_rng(seed).integers(0, 256, (4, 8, 3), np.uint8) for seed in (0, 1))
    side = join(first, second, "side_by_side")
    assert np.array_equal(side[:, :4], first[:, 2:6])
    assert np.array_equal(side[:, 4:], second[:, 2:6])
    blend = join(first, second, "blend")
    assert blend.dtype == np.uint8
    assert np.abs(blend - (first.astype(float) + second) / 2).max() <= 0.5


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_seed_gives_the_same_files_and_another_one_others(
    reader: VideoReader, clips: Path, tmp_path: Path
) -> None:
    settings = _settings(overlap=0.5)
    for name in ("a", "b"):
        stitch_videos(clips, tmp_path / name, settings, reader)
    other = replace(settings, plan=replace(settings.plan, seed=4))
    stitch_videos(clips, tmp_path / "c", other, reader)
    a, b, c = (_tree(tmp_path / name) for name in "abc")
    assert len(a) == 9 + 2
    assert a == b, "bytes too, with one version of the encoder"
    assert a["annotations.json"] != c["annotations.json"]
    builder = json.loads(a["builder.json"])
    assert builder["encoder"] == "libx264"
    assert "av " in builder["packages"]
    read = {name for names in builder["videos"].values() for name in names}
    assert {clip for clip, entry in builder["clips"].items() if entry["decoders"]} == read
    assert {use["name"] for entry in builder["clips"].values() for use in entry["decoders"]} == {"decord"}


def test_real_clips(reader: VideoReader, test_data: Path, tmp_path: Path) -> None:
    """Every stitched frame is the one of the clip that the annotation and the list of clips name."""
    groups = {
        "cook": ["flipping_a_pancake.mkv", "demo.mp4", "WUzgd7C1pWA.mp4"],
        "lift": ["v_GGSY1Qvo990.mp4", "test.avi", "v_SoccerJuggling_g23_c01.avi"],
        "rest": ["plastering.avi", "one-by-one-person-detection.mp4", "big_buck_bunny_0_30.webm", "demo.mp4"],
    }
    for label, files in groups.items():
        (tmp_path / "clips" / label).mkdir(parents=True)
        for file in files:
            (tmp_path / "clips" / label / file).symlink_to(test_data / "videos" / file)
    plan, rate = frame_plan(
        15,
        class_names=("cook", "lift"),
        num_videos=(2, 1, 1),
        num_snippets=(100, 145),
        clips_per_action=(1, 1),
        background=(1, 1),
        max_snippets=45,
    )
    videos, names = stitch_videos(
        tmp_path / "clips", tmp_path / "out", VideoStitchSettings(plan, rate, height=120, width=160), reader
    )
    for video in videos:
        shown = decode_in_order(tmp_path / "out/videos" / f"{video.video_id}.mp4").astype(np.int16)
        at = 0
        for name in video.clips:
            info = reader.probe(tmp_path / "clips" / name)
            length = min(45, int(np.ceil(info.duration_s * 15 - 1e-6)))
            numbers = info.frames_at(np.arange(length) / 15)
            scale = max(120 / info.height, 160 / info.width)
            size = (int(np.ceil(info.height * scale - 1e-9)), int(np.ceil(info.width * scale - 1e-9)))
            source = reader.read(info.file, numbers, FrameTransform(size=size, crop=(120, 160))).frames
            differences = [np.abs(shown[at + i] - source[i]).mean() for i in range(length)]
            assert max(differences) < 8
            segment = [s for s in video.segments if round(s.start_s * 15) <= at < round(s.end_s * 15)]
            label = Path(name).parent.name
            assert [names[s.label] for s in segment] == ([label] if label in names else [])
            at += length
        assert at == len(shown) == video.num_frames


def test_what_cannot_be_stitched(reader: VideoReader, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="choose another folder"):
        stitch_videos(clips, tmp_path / "there", _settings(), reader)
    with pytest.raises(ValueError, match="holds no video as <class>/<file>"):
        stitch_videos(tmp_path, tmp_path / "out", _settings(), reader)
    alone = _settings()
    alone = replace(alone, plan=replace(alone.plan, class_names=("jump",)), overlap=0.5)
    with pytest.raises(ValueError, match="needs two action classes"):
        stitch_videos(clips, tmp_path / "out", alone, reader)
    for changes, words in [
        ({"overlap": 1.5}, "from 0 to 1"),
        ({"overlap_style": "above"}, "neither"),
        ({"width": 62}, "multiple of 4"),
        ({"fps": Fraction(10)}, "must be 1 / fps"),
    ]:
        with pytest.raises(ValueError, match=words):
            replace(_settings(), **changes)
    with pytest.raises(ValueError, match="must be even"):
        write_mp4(tmp_path / "a.mp4", [], fps=Fraction(25), height=33, width=64)
    assert [path.name for path in tmp_path.iterdir()] == ["there"], "nothing is left of what failed"


def test_a_clip_that_cannot_be_read_ends_it_and_leaves_nothing(
    reader: VideoReader, tmp_path: Path, clips: Path
) -> None:
    bad = tmp_path / "clips"
    for path in clips.glob("*/*.mp4"):
        (bad / path.parent.name).mkdir(parents=True, exist_ok=True)
        (bad / path.parent.name / path.name).symlink_to(path)
    (bad / "run" / "zz.mp4").write_bytes(b"x" * 1000)
    with pytest.raises(VideoError, match=r"zz\.mp4: not a readable video"):
        stitch_videos(bad, tmp_path / "out", _settings(), reader)
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_the_command(clips: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(stitched_videos)
    arguments = [
        *(
            "--clips",
            clips,
            "--out",
            tmp_path / "out",
            "--class",
            "jump",
            "--class",
            "run",
            "--train",
            3,
            "--select",
            1,
        ),
        *("--test", 1, "--seconds", 6, 8, "--max-clip-seconds", 1, "--fps", 10, "--size", 32, 64, "--overlap", 0.3),
    ]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "5 videos" in result.output
    assert "2 classes" in result.output
    assert len(list((tmp_path / "out/videos").iterdir())) == 5
    again = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert again.exit_code == 2
    assert "exists" in again.output
