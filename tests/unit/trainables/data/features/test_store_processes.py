"""What other processes see of a store: shared pages, never half of it, no harm from a race or a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trainables.data.features.store import FeatureStore, write_store
from trainables.data.schema import Segment, Video

READER = """
import json, sys
from pathlib import Path
import numpy as np, psutil
from trainables.data.features.store import FeatureStore

def private():
    return psutil.Process().memory_full_info().uss

def step():
    print("ready", flush=True)
    sys.stdin.readline()

small, large, copy = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "copy"
FeatureStore(small).features(0).sum()  # whatever Arrow sets up on first use
before = private()
store = FeatureStore(large)
held = [np.array(store.features(i)) if copy else store.features(i) for i in range(len(store.videos))]
total = sum(float(views.sum()) for views in held)
step()  # until everybody has touched every page
print(json.dumps({"grown": private() - before, "total": total}), flush=True)
step()  # until everybody has measured
"""


def _video(name: str, length: int = 4, width: int = 3) -> Video:
    feats = np.full((length, width), 0.5, np.float32)
    return Video(name, "training", "train", 0.5, feats, (Segment(0.5, 1.0, 0),))


@pytest.mark.parametrize("mode", ["view", "copy"])
def test_readers_hold_nothing_of_their_own(tmp_path: Path, mode: str) -> None:
    write_store(tmp_path / "small", [_video("v")], ["a"], {})
    write_store(tmp_path / "large", (_video(f"v{i}", 2048, 1024) for i in range(4)), ["a"], {})
    size = (tmp_path / "large" / "features.arrow").stat().st_size
    assert size > 32e6
    command = [sys.executable, "-c", READER, str(tmp_path / "small"), str(tmp_path / "large"), mode]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        found = []
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        for reader in readers:
            assert reader.stdin is not None
            assert reader.stdout is not None
            print(file=reader.stdin, flush=True)
            found.append(json.loads(reader.stdout.readline()))
    finally:
        for reader in readers:
            reader.communicate("\n")
    assert {one["total"] for one in found} == {4 * 2048 * 1024 * 0.5}
    if mode == "view":
        assert max(one["grown"] for one in found) < size / 4
    else:  # the measure does see a copy
        assert min(one["grown"] for one in found) > size / 2


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def videos() -> Iterator[Video]:
        yield _video("a")
        raise RuntimeError("the source has ended")

    with pytest.raises(RuntimeError, match="source has ended"):
        write_store(tmp_path / "s", videos(), ["a"], {})
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_store(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
import numpy as np
from trainables.data.schema import Video
from trainables.data.features.store import write_store
def videos():
    yield Video("a", "training", "train", 0.5, np.zeros((4096, 256), np.float32), ())
    print("half", flush=True)
    time.sleep(600)
write_store(Path(sys.argv[1]), videos(), ["a"], {})
"""
    folder = tmp_path / "s"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        half = list(tmp_path.iterdir())
        os.kill(writer.pid, signal.SIGKILL)
    assert half, "something was being written"
    assert all(path.name.startswith(".") for path in half)
    with pytest.raises(FileNotFoundError, match="no feature store"):
        FeatureStore(folder)
    write_store(folder, [_video("a")], ["a"], {})
    assert FeatureStore(folder).verify()


@pytest.mark.parametrize("missing", ["videos.arrow", "segments.arrow", "features.arrow", "manifest.json"])
def test_a_store_without_one_of_its_files_is_not_opened(tmp_path: Path, missing: str) -> None:
    write_store(tmp_path / "s", [_video("a")], ["a"], {})
    (tmp_path / "s" / missing).unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=r"build it anew|no feature store"):
        FeatureStore(tmp_path / "s")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("manifest.json", b"{", "manifest.json: not readable"),
        ("manifest.json", b'{"format": 99}', "format 99, this version reads 1"),
        ("videos.arrow", None, "videos.arrow: not readable"),
    ],
)
def test_damage_is_named(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    write_store(tmp_path / "s", [_video("a")], ["a"], {})
    path = tmp_path / "s" / name
    path.write_bytes(bytes(path.stat().st_size) if content is None else content)
    with pytest.raises(ValueError, match=complaint):
        FeatureStore(tmp_path / "s")


def test_tables_of_other_columns_are_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "s", [_video("a")], ["a"], {})
    manifest = tmp_path / "s" / "manifest.json"
    content = json.loads(manifest.read_text())
    (tmp_path / "s" / "segments.arrow").replace(tmp_path / "s" / "videos.arrow")
    content["sizes"]["videos.arrow"] = content["sizes"]["segments.arrow"]
    content["sizes"]["segments.arrow"] = 0
    manifest.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"videos.arrow: its columns are not those"):
        FeatureStore(tmp_path / "s")


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_store(tmp_path / "s", [_video("a")], ["a"], {})
    finally:
        os.umask(old)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o755


def test_two_processes_prepare_the_same_data_at_once(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from trainables.data.features import store
from trainables.data.synthetic.config import Config
move = store._move
def wait_and_move(scratch, folder):
    if folder.name != "trimmed":  # that comes after
        print("written", flush=True)
        sys.stdin.readline()
    move(scratch, folder)
store._move = wait_and_move  # both have written before either moves
config = Config()
config.prepare(Path(sys.argv[1]))
print(config.digest(Path(sys.argv[1])))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
    digests = {process.communicate("\n")[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(digests) == 1
    (folder,) = tmp_path.iterdir()
    assert FeatureStore(folder).verify()
