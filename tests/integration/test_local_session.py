"""A session of one machine is out of the network's reach: nothing of it listens beyond loopback."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

#: In a process of its own: other tests share a session. There is a worker as well.
SESSION = """
import psutil
{start}
    import ray
    ray.get(ray.remote(lambda: None).remote())
    own = psutil.Process()
    names = {{process.pid: process.name() for process in (own, *own.children(recursive=True))}}
    ports = [c for c in psutil.net_connections("inet") if c.status == psutil.CONN_LISTEN and c.pid in names]
    for port in ports:
        print(port.laddr.ip, names[port.pid])
"""


@pytest.mark.parametrize(
    "start",
    [
        'from tadtune.run.session import ray_session\nwith ray_session("local", dashboard=True):',
        'from tadtune.run.session import ray_session\nwith ray_session("local", dashboard=False):',
        "from trainables.entrypoints.ray_session import ray_session\nwith ray_session(None):",
    ],
    ids=["study with dashboard", "study", "data command"],
)
def test_nothing_listens_beyond_loopback(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = [sys.executable, "-c", SESSION.format(start=start)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert {"gcs_server", "raylet"} <= {program for _, program in found}, done.stdout
    assert {address.removeprefix("::ffff:") for address, _ in found} <= {"127.0.0.1", "::1"}, done.stdout
