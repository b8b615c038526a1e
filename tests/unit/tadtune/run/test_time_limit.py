"""The limit of a trial's time: it ends a process that holds the interpreter's lock, and leaves others alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tadtune.run.time_limit import time_limit

# one call of a built-in that never lets another Python thread run
STUCK = """
import sys
from pathlib import Path
from tadtune.run.time_limit import time_limit
with time_limit(0.3, Path(sys.argv[1])):
    def stuck():
        sum(range(10 ** 14))
    stuck()
print("still here")
"""


def test_native_code_that_never_returns_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "record" / "timeout.txt"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", STUCK, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert time.monotonic() - began < 30
    assert "in stuck" in path.read_text()


def test_who_is_done_in_time_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "timeout.txt"
    with time_limit(0.2, path):
        assert path.read_text() == ""
    assert not path.exists()
    time.sleep(0.4)  # this process would end here
    with time_limit(None, path):
        assert not path.exists()
