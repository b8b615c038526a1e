"""A Ray cluster of a test's own on this machine, and a connection to it that can be cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from toy_runs import free_port, wait_until

BIN = Path(sys.executable).parent


@contextlib.contextmanager
def ray_head(environment: Mapping[str, str]) -> Iterator[int]:
    """A head node on loopback with two CPUs; the port of its dashboard.

    Args:
        environment: variables beside this process's own: ``RAY_AUTH_MODE`` at least.
    """
    short = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # Ray's sockets allow no long path
    gcs, dashboard, client, agent = (free_port() for _ in range(4))
    command = [str(BIN / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={gcs}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
    command += [f"--dashboard-agent-listen-port={agent}", "--num-cpus=2", f"--temp-dir={short}"]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    with (Path(short) / "start.log").open("wb") as log:
        head = subprocess.Popen(
            command, env={**os.environ, "PATH": path, **environment}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: speaks(dashboard) or head.poll() is not None, 180)
        assert head.poll() is None, (Path(short) / "start.log").read_text()
        yield dashboard
    finally:
        head.terminate()
        try:
            head.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
        shutil.rmtree(short, ignore_errors=True)


def speaks(port: int) -> bool:
    """Whether a dashboard answers, if only to ask for a token."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class Tunnel:
    """A port on loopback that leads to another, until it is cut; later connections go through again.

    Args:
        target: the other port.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """End every connection; how many there were."""
        ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def close(self) -> None:
        """Cut, and take no more."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
