"""Features of real clips, as a person extracts them: bad files, interruptions, resumption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from toy_runs import wait_until

from trainables.backbones.extractor import ExtractionSettings, SnippetExtractor, VideoFrames
from trainables.data.feature_files.extracted import read_features
from trainables.data.video.files import find_videos
from trainables.entrypoints.extraction import Resources, VideoResult, begin, extract_videos, finished
from trainables.entrypoints.video_source import open_video

#: Short real clips in four containers.
CLIPS = (
    "v_GGSY1Qvo990.mp4",
    "flipping_a_pancake.mkv",
    "v_SoccerJuggling_g23_c01.avi",
    "test.avi",
    "WUzgd7C1pWA.mp4",
)
C3D = ExtractionSettings("c3d", random_seed=0, crop=32, endpoint="conv5b")

COMMAND = "import typer; from trainables.entrypoints.extract_commands import extract; typer.run(extract)"


@pytest.fixture
def videos(test_data: Path, tmp_path: Path) -> Path:
    """A folder of real clips, and a file that is none."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in CLIPS:
        (folder / name).symlink_to(test_data / "videos" / name)
    (folder / "README.txt").write_text("five clips")
    return folder


#: Small variants of the networks whose public key layouts the random weights have.
NETWORKS = {"c3d": ["--crop", "32", "--endpoint", "conv5b"], "i3d_rgb": ["--crop", "32", "--fps", "10"]}


def _command(network: str, videos: Path, out: Path, *options: str) -> list[str]:
    fixed = ["--backbone", network, "--random-weights", "0", *NETWORKS[network]]
    return [sys.executable, "-c", COMMAND, "--videos", str(videos), "--out", str(out), *fixed, *options]


def _files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, but the list of what could not be read."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "quarantine.jsonl")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def _extract(videos: Path, out: Path, settings: ExtractionSettings, **options: Any) -> dict[str, VideoResult]:
    found, _ = find_videos(videos)
    extraction = begin(out, settings)
    left = {k: v for k, v in found.items() if k not in finished(out, found, extraction)}
    results = extract_videos(left, out, settings, extraction, **{"opener": open_video, **options})
    return {result.video_id: result for result in results}


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_killed_half_way_and_resumed_gives_the_same_bytes(
    tmp_path: Path, videos: Path, test_data: Path, ray_cluster: Any, network: str
) -> None:
    # a bad file among good ones, and one that ends in the middle
    (videos / "broken.mp4").write_bytes(b"no video at all" * 100)
    (videos / "cut.mp4").write_bytes((test_data / "videos" / "demo.mp4").read_bytes()[:200_000])
    interrupted = tmp_path / "interrupted"
    done = _kill_half_way(_command(network, videos, interrupted), interrupted / "features")
    resumed = _run(network, videos, interrupted)
    assert f"{len(done)} are done already" in resumed
    assert "7 videos in" in resumed
    assert "1 other files are left alone" in resumed
    assert "5 of 7 videos have features, 2 failed" in resumed
    assert "  broken: " in resumed
    assert "broken.mp4: " in resumed
    assert "  cut: " in resumed
    assert "next: tadtune data import --annotations FILE" in resumed
    for name, time_ns in done.items():
        assert (interrupted / "features" / name).stat().st_mtime_ns == time_ns, "done once is done"

    whole = tmp_path / "whole"
    _run(network, videos, whole)
    assert _files(interrupted) == _files(whole)
    assert {p.split("/")[0] for p in _files(whole)} == {"extraction.json", "features"}
    facts = read_features(whole / "features" / "test.arrow")
    assert all(name.split()[0] in ("decord", "pyav") for name in facts.decoders)
    if network == "c3d":  # alike for every network
        _check_what_could_not_be_read(network, videos, whole)


def _kill_half_way(command: list[str], features: Path) -> dict[str, int]:
    """What is done, file -> time, when all processes of an extraction are killed between its first and last video."""
    process = subprocess.Popen(
        command,
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    family = [psutil.Process(process.pid)]
    try:
        wait_until(lambda: bool(list(features.glob("*.arrow"))) or process.poll() is not None)
        family += family[0].children(recursive=True)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # a worker may finish the video it was at before it notices
    assert psutil.wait_procs(family, timeout=60)[1] == []
    done = {p.name: p.stat().st_mtime_ns for p in features.glob("*.arrow")}
    assert 1 <= len(done) < len(CLIPS), "killed too late to show anything"
    return done


def _run(network: str, videos: Path, out: Path, *options: str, code: int = 0) -> str:
    """What the command says, in this session's Ray."""
    from typer.testing import CliRunner

    from trainables.entrypoints.extract_commands import extract

    result = CliRunner().invoke(_app(extract), _command(network, videos, out, *options)[3:])
    assert result.exit_code == code, result.output
    return str(result.output)


def _check_what_could_not_be_read(network: str, videos: Path, out: Path) -> None:
    """It is not tried again unless asked for; with --strict it is the exit code."""
    before = _files(out)
    quarantine = (out / "quarantine.jsonl").read_text().splitlines()
    assert {Path(json.loads(line)["file"]).stem for line in quarantine} == {"broken", "cut"}
    strict = _run(network, videos, out, "--strict", code=1)
    assert "5 are done already" in strict
    assert strict.count("in quarantine") == 4, "each is told when it fails and in the list at the end"
    assert "in quarantine" not in _run(network, videos, out, "--retry")
    assert _files(out) == before


def _app(function: Any) -> Any:
    import typer

    app = typer.Typer()
    app.command()(function)
    return app


def test_features_are_those_of_the_extractor_alone(tmp_path: Path, videos: Path, ray_cluster: Any) -> None:
    settings = ExtractionSettings("i3d_rgb", random_seed=3, crop=32, snippet_len_frames=16, fps=12.5)
    for name in CLIPS[:3]:
        (videos / name).unlink()
    results = _extract(videos, tmp_path / "out", settings, resources=Resources(workers=2))
    assert sorted(results) == ["WUzgd7C1pWA", "test"]
    extractor = SnippetExtractor(settings)
    for video_id, result in results.items():
        assert result.reason == ""
        read = read_features(tmp_path / "out" / "features" / f"{video_id}.arrow")
        assert result.num_snippets == len(read.features)
        assert read.snippet_seconds == pytest.approx(16 / 12.5)
        # the last snippet may reach beyond the end
        assert len(read.features) * read.snippet_seconds >= read.duration_s - 0.5 / 12.5
    video = open_video(videos / "test.avi")
    read = read_features(tmp_path / "out" / "features" / "test.arrow")
    assert (read.num_frames, read.fps) == (164, 25.0)
    expected = extractor(video)
    assert expected.shape == (6, 1024)
    np.testing.assert_allclose(read.features, expected, rtol=1e-3, atol=1e-6 * np.abs(expected).max())


def test_a_video_that_ends_its_process_takes_no_other_along(tmp_path: Path, videos: Path, ray_cluster: Any) -> None:
    def opener(path: Path) -> VideoFrames:  # local, so that workers get it without this file
        if path.stem == "test":
            os._exit(1)
        return open_video(path)

    for name in ("flipping_a_pancake.mkv", "WUzgd7C1pWA.mp4", "v_GGSY1Qvo990.mp4"):
        (videos / name).unlink()
    results = _extract(videos, tmp_path / "out", C3D, opener=opener)
    assert results["test"].reason == "its worker process died, 2 times"
    assert results["v_SoccerJuggling_g23_c01"].num_snippets == 15
    assert [p.name for p in (tmp_path / "out" / "features").iterdir()] == ["v_SoccerJuggling_g23_c01.arrow"]
    # the next launch tries again
    again = _extract(videos, tmp_path / "out", C3D)
    assert {k: r.num_snippets for k, r in again.items()} == {"test": 11}
    _check_what_is_done(tmp_path / "out", videos)


def _check_what_is_done(out: Path, videos: Path) -> None:
    """Two videos are done; neither a damaged file of features nor a changed video counts as done."""
    found, _ = find_videos(videos)
    extraction = begin(out, C3D)
    assert finished(out, found, extraction) == {"test", "v_SoccerJuggling_g23_c01"}
    assert finished(out, found, "another") == set()
    features = out / "features" / "test.arrow"
    content = features.read_bytes()
    features.write_bytes(content[:100])
    assert finished(out, found, extraction) == {"v_SoccerJuggling_g23_c01"}
    features.write_bytes(content)
    video = videos / "test.avi"
    longer = video.read_bytes() + b"\0"
    video.unlink()
    video.write_bytes(longer)
    assert finished(out, found, extraction) == {"v_SoccerJuggling_g23_c01"}


def test_a_folder_belongs_to_one_extraction(tmp_path: Path, videos: Path) -> None:
    out = tmp_path / "out"
    found, others = find_videos(videos)
    assert others == 1
    extraction = begin(out, C3D)
    assert finished(out, found, extraction) == set()
    with pytest.raises(ValueError, match="holds another extraction .*snippet_len_frames: 16 there, 8 asked for"):
        begin(out, ExtractionSettings(**{**vars(C3D), "snippet_len_frames": 8}))
    leftovers = [out / "features" / name for name in (".a.0123.partial", ".a.started")]
    for leftover in leftovers:
        leftover.touch()
    assert begin(out, C3D) == extraction
    assert not any(leftover.exists() for leftover in leftovers)


def test_folders_of_videos(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder of videos"):
        find_videos(tmp_path / "none")
    with pytest.raises(ValueError, match=r"holds no video; their files end in \.avi"):
        find_videos(tmp_path)
    (tmp_path / "a").mkdir()
    for name in ("a/x.mp4", "y.MKV", "notes.txt"):
        (tmp_path / name).touch()
    found, others = find_videos(tmp_path)
    assert (list(found), others) == (["x", "y"], 1)
    (tmp_path / "x.avi").touch()
    with pytest.raises(ValueError, match="have the same id 'x'"):
        find_videos(tmp_path)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--backbone", "c4d"], "backbone: 'c4d' is none of c3d"),
        (["--backbone", "c3d"], "weights: 0 files, c3d takes 1"),
        (["--backbone", "c3d", "--weights", "none.pt"], "none.pt: no such file of weights"),
        (["--backbone", "c3d", "--random-weights", "0", "--device", "tpu"], "device: 'tpu' is none of cpu, cuda"),
    ],
)
def test_wrong_options_end_it_before_work_starts(tmp_path: Path, options: list[str], complaint: str) -> None:
    from typer.testing import CliRunner

    from trainables.entrypoints.extract_commands import extract

    (tmp_path / "a.mp4").touch()
    arguments = ["--videos", str(tmp_path), "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(_app(extract), arguments)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert complaint in result.output
    assert not (tmp_path / "out").exists()


def test_more_than_ray_has_is_refused(tmp_path: Path, ray_cluster: Any) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ValueError, match="a worker takes 10000 CPU, Ray has"):
        _extract(tmp_path, tmp_path / "out", C3D, resources=Resources(cpus=10_000))


def test_the_command_needs_no_heavy_library_to_be_listed() -> None:
    code = "import trainables.entrypoints.extract_commands, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pyarrow", "ray", "decord", "cv2"} & set(loaded)
