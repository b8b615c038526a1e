"""What eight readers of one store hold together, as the kernel counts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.data.features.store import write_store
from trainables.data.schema import Segment, Video

READERS = 8
VIDEOS, LENGTH, WIDTH = 50, 256, 2048  # 100 MiB

#: Reads the store between two measurements, each when all readers are at the same point: the share of a page that a
#: process is charged with depends on how many others have mapped it.
READER = """
import json, sys
from pathlib import Path
import numpy as np
from trainables.data.features.store import FeatureStore

def measure():
    print("there", flush=True)
    sys.stdin.readline()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    print(json.dumps(found), flush=True)
    sys.stdin.readline()

small, large, copy = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "copy"
FeatureStore(small).features(0).sum()  # what Arrow sets up on first use
measure()
store = FeatureStore(large)
views = [store.features(i) for i in range(len(store.videos))]
held = [np.array(view) for view in views] if copy else views
total = sum(float(features.sum()) for features in held)
measure()
print(total, flush=True)
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stores")
    for name, videos, length in (("small", 1, 4), ("large", VIDEOS, LENGTH)):
        own = (
            Video(f"v{i}", "any", "train", 0.5, np.full((length, WIDTH), 0.5, np.float32), (Segment(0.5, 1.0, 0),))
            for i in range(videos)
        )
        write_store(root / name, own, ["a"], {})
    return root


def _growth(root: Path, mode: str, readers: int) -> list[dict[str, int]]:
    """By reader: how many bytes of each kind it was charged with for reading the large store."""
    command = [sys.executable, "-c", READER, str(root / "small"), str(root / "large"), mode]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(readers)
    ]

    def hear() -> list[str]:
        return [one.stdout.readline() for one in running if one.stdout is not None]

    def go_on() -> None:
        for one in running:
            assert one.stdin is not None
            print(file=one.stdin, flush=True)

    try:
        measured = []
        for _ in range(2):
            assert set(hear()) == {"there\n"}
            go_on()
            measured.append([json.loads(line) for line in hear()])
            go_on()
        assert {float(line) for line in hear()} == {VIDEOS * LENGTH * WIDTH * 0.5}
    finally:
        for one in running:
            one.communicate()
    return [{kind: b[kind] - a[kind] for kind in a} for a, b in zip(*measured, strict=True)]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs the memory counts of a Linux kernel")
def test_eight_readers_hold_one_copy(stores: Path) -> None:
    size = (stores / "large" / "features.arrow").stat().st_size
    assert size > 100e6
    grown = _growth(stores, "view", READERS)
    assert sum(one["Pss"] for one in grown) < 1.2 * size, "all of them together: one copy"
    assert sum(one["Pss_File"] + one["Pss_Shmem"] for one in grown) > 0.9 * size, "and that copy is counted"
    for one in grown:
        assert one["Rss"] > 0.9 * size, "every reader has all of it mapped"
        assert one["Pss_Anon"] < 0.1 * size, "and owns next to nothing"
    copied = _growth(stores, "copy", 2)
    assert sum(one["Pss_Anon"] for one in copied) > 1.9 * size, "the measure does see copies"
