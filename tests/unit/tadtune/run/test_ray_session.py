"""A Ray that is not there, or cannot start: one line with the way out."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from tadtune.run import session
from tadtune.run.session import ray_session
from tadtune.spec.errors import StudyError

OVERLOADED = "The current node timed out during startup. This could happen because some of the raylet failed to startup"


def refused(address: str | None) -> str:
    with pytest.raises(StudyError) as caught, ray_session(address, dashboard=False):
        pass
    (line,) = caught.value.lines
    return line


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As in a process that has not talked to Ray yet; what other tests share stays."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return monkeypatch


def test_an_address_nobody_listens_at_is_said_at_once(no_session: pytest.MonkeyPatch) -> None:
    no_session.setattr(ray, "init", lambda **_: pytest.fail("Ray would try for two minutes"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port meanwhile
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(address)
        assert line.startswith(f"--address: no Ray cluster answers at '{address}' (ConnectionRefusedError: ")
        assert "without an address the study runs on this machine" in line
        no_session.setenv("RAY_ADDRESS", address)
        assert refused(None).startswith(f"RAY_ADDRESS: no Ray cluster answers at '{address}'")


def test_a_machine_that_does_not_answer_is_not_waited_for(no_session: pytest.MonkeyPatch) -> None:
    no_session.setattr(session, "CONNECT_S", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # takes one connection and never answers another
        address = full.getsockname()
        with socket.create_connection(address):
            line = refused(f"127.0.0.1:{address[1]}")
    assert "no Ray cluster answers" in line
    assert "(TimeoutError: timed out)" in line


@pytest.mark.parametrize(
    ("address", "error", "shown"),
    [
        (
            None,
            Exception(f"{OVERLOADED}\nor the GCS is slow."),
            f"ray: no session .* \\(Exception: {OVERLOADED} or the",
        ),
        (None, PermissionError(13, "Permission denied", "/tmp/ray"), r"ray: .*denied: '/tmp/ray'\).*RAY_TMPDIR"),
        (None, TimeoutError(), r"ray: .* \(TimeoutError\)\. Nothing has run"),
        (
            "auto",
            ConnectionError("Could not find any running Ray instance."),
            r"--address: .* 'auto' \(Conn.*instance\)",
        ),
        ("auto", RuntimeError("Version mismatch: " + "x" * 5000), r"--address: .*Version mismatch: x{382}\)"),
    ],
)
def test_what_ray_raises_becomes_one_line(
    no_session: pytest.MonkeyPatch, address: str | None, error: Exception, shown: str
) -> None:
    ended = []

    def init(**_: Any) -> None:
        raise error

    no_session.setattr(ray, "init", init)
    no_session.setattr(ray, "shutdown", lambda: ended.append(True))
    line = refused(address)
    assert "\n" not in line
    assert re.match(shown, line), line
    assert ended == [True]  # nothing of a half-started session is left


@pytest.mark.parametrize(
    ("address", "environment", "mode"),
    [
        (None, {}, "disabled"),
        (None, {"RAY_AUTH_TOKEN": "t"}, "disabled"),  # of some cluster's: a session on loopback asks for none
        ("auto", {}, "disabled"),
        ("auto", {"RAY_AUTH_TOKEN": "t"}, "token"),
        ("auto", {"RAY_AUTH_TOKEN": "t", "RAY_AUTH_MODE": "disabled"}, "disabled"),
        (None, {"RAY_AUTH_MODE": "token"}, "token"),
    ],
)
def test_whether_a_token_is_sent_is_said_before_ray_looks(
    no_session: pytest.MonkeyPatch, tmp_path: Path, address: str | None, environment: dict[str, str], mode: str
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        no_session.setenv(name, "")  # so that it is put back
        no_session.delenv(name)
    no_session.setenv("HOME", str(tmp_path))
    for name, value in environment.items():
        no_session.setenv(name, value)
    seen = []

    def init(**_: Any) -> None:
        seen.append(os.environ["RAY_AUTH_MODE"])
        raise ConnectionError

    no_session.setattr(ray, "init", init)
    refused(address)
    assert seen == [mode]


def test_on_the_command_line_it_is_an_error_of_the_user(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    """A real failure of a real start: Ray's sockets allow no long path."""
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(toy_sweep))
    long = tmp_path / ("x" * 100)
    long.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {"RAY_TMPDIR": str(long)}
    command = [sys.executable, "-m", "tadtune", "run", str(study), "--storage", str(tmp_path / "runs")]
    command += ["--data", str(tmp_path / "data")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("error: ray: no session could be started on this machine (OSError: ")
    assert "AF_UNIX path length" in line
    assert not list((tmp_path / "runs").glob("*/trials"))
