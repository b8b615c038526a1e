"""Folders of trimmed clips: real videos in the layouts of UCF-101 and Kinetics, with their split lists."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from trainables.data.readers import read_annotations

#: Real clips: file -> (class, frames, frames per second).
CLIPS = {
    "v_SoccerJuggling_g23_c01.avi": ("SoccerJuggling", 240, 29.97),
    "test.avi": ("ApplyEyeMakeup", 164, 25.0),
    "demo.mp4": ("arm wrestling", 280, 28.0),
    "flipping_a_pancake.mkv": ("flipping pancake", 310, 30.0),
}


@pytest.fixture
def flat(test_data: Path, tmp_path: Path) -> Path:
    """``class/clip``."""
    return _place(test_data, tmp_path / "flat", dict.fromkeys(CLIPS, ""))


def _place(test_data: Path, folder: Path, parts: dict[str, str]) -> Path:
    for name, part in parts.items():
        place = folder / part / CLIPS[name][0]
        place.mkdir(parents=True)
        shutil.copy(test_data / "videos" / name, place)
    return folder


def test_a_clip_is_one_segment_over_its_whole_length(flat: Path) -> None:
    (flat / "SoccerJuggling/notes.txt").write_text("no clip")
    annotations = read_annotations(flat)
    assert annotations.format == "trimmed"
    assert annotations.class_names == ("ApplyEyeMakeup", "SoccerJuggling", "arm wrestling", "flipping pancake")
    assert annotations.subsets == ("unknown",)
    assert annotations.faults == ()
    videos = {video.video_id: video for video in annotations.videos}
    for name, (label, frames, fps) in CLIPS.items():
        video = videos[f"{label}/{name.rpartition('.')[0]}"]
        assert video.fps == pytest.approx(fps, abs=0.005)
        assert video.duration_s == pytest.approx(frames / fps, abs=0.01)
        (segment,) = video.segments
        assert (segment.start_s, segment.end_s) == (0.0, video.duration_s)
        assert annotations.class_names[segment.label] == label


def test_subsets_of_kinetics_are_folders(test_data: Path, tmp_path: Path) -> None:
    parts = {"demo.mp4": "train", "flipping_a_pancake.mkv": "train", "test.avi": "val"}
    annotations = read_annotations(_place(test_data, tmp_path / "k", parts))
    assert {video.video_id: video.subset for video in annotations.videos} == {
        "arm wrestling/demo": "train",
        "flipping pancake/flipping_a_pancake": "train",
        "ApplyEyeMakeup/test": "val",
    }


def test_split_lists_of_ucf101(flat: Path, tmp_path: Path) -> None:
    train, test, names = tmp_path / "trainlist01.txt", tmp_path / "testlist01.txt", tmp_path / "classInd.txt"
    train.write_text("SoccerJuggling/v_SoccerJuggling_g23_c01.avi 2\r\nApplyEyeMakeup/gone.avi 1\r\n")
    test.write_text("ApplyEyeMakeup/test.avi\r\n")
    names.write_text("1 ApplyEyeMakeup\r\n2 SoccerJuggling\r\n3 Archery\r\n")
    annotations = read_annotations(flat, clip_lists=[train, test], classes=names)
    assert annotations.class_names == ("ApplyEyeMakeup", "SoccerJuggling", "Archery")
    assert [(video.video_id, video.subset) for video in annotations.videos] == [
        ("ApplyEyeMakeup/test", "test"),
        ("SoccerJuggling/v_SoccerJuggling_g23_c01", "train"),
    ]
    here, listed = annotations.faults
    assert (here.rule, here.count, here.action) == ("clip in no split list", 2, "left out")
    assert here.first.endswith("arm wrestling/demo.mp4")
    assert (listed.rule, listed.count) == ("clip of a split list is not in the folder", 1)
    assert listed.first.endswith("trainlist01.txt: line 2: 'ApplyEyeMakeup/gone'")


def test_split_lists_of_kinetics(test_data: Path, tmp_path: Path) -> None:
    folder = _place(test_data, tmp_path / "k", {"demo.mp4": "validate"})
    (folder / "validate/arm wrestling/demo.mp4").rename(folder / "validate/arm wrestling/AbC-_12_000004_000014.mp4")
    table = tmp_path / "val.csv"
    table.write_text("label,youtube_id,time_start,time_end,split,is_cc\narm wrestling,AbC-_12,4,14,validate,0\n")
    (video,) = read_annotations(folder, clip_lists=[table]).videos
    assert (video.video_id, video.subset) == ("arm wrestling/AbC-_12_000004_000014", "validate")
    table.write_text(table.read_text().replace("validate", "train"))
    with pytest.raises(
        ValueError, match=r"val.csv: line 2: clip 'arm wrestling/.*' is of 'train', its folder says 'val"
    ):
        read_annotations(folder, clip_lists=[table])


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("clip.avi\n", r"l.txt: line 1 is not 'class/clip.avi' with a number or without: 'clip.avi'"),
        ("a/clip 1\n", r"l.txt: line 1 is not 'class/clip.avi'"),
        ("a/clip.avi 1\na/clip.avi 1\n", r"l.txt: line 2: clip 'a/clip' is in .*l.txt: line 1 already"),
    ],
)
def test_bad_split_lists(tmp_path: Path, lines: str, complaint: str) -> None:
    (tmp_path / "clips/a").mkdir(parents=True)
    (tmp_path / "clips/a/clip.avi").write_bytes(b"x")
    (tmp_path / "l.txt").write_text(lines)
    with pytest.raises(ValueError, match=complaint):
        read_annotations(tmp_path / "clips", clip_lists=[tmp_path / "l.txt"])


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/a.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"run/a.mp4: not a readable video: .*") as caught:
        read_annotations(tmp_path)
    assert "\n" not in str(caught.value)


def test_both_layouts_at_once(tmp_path: Path) -> None:
    (tmp_path / "train/run").mkdir(parents=True)
    (tmp_path / "train/run/a.mp4").write_text("x")
    (tmp_path / "train/b.mp4").write_text("x")
    with pytest.raises(ValueError, match="has clips as class/clip and as subset/class/clip; keep one of them"):
        read_annotations(tmp_path)
