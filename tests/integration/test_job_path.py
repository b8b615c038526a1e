"""A study as a job of a cluster with authentication: submitted, followed, stopped, resubmitted, resumed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest
from ray_heads import Tunnel, ray_head
from toy_runs import Sandbox, wait_until

pytestmark = pytest.mark.slow

#: The test's own: no file of the home folder is read or written.
TOKEN = "a-token-of-this-test-only-0123456789abcdef"
TRIALS = 8
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def head() -> Iterator[int]:
    """Port of the dashboard of a cluster that wants the token and knows nothing of the toy plug-in."""
    with ray_head({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "PYTHONPATH": ""}) as port:
        yield port


class Client:
    """A person's machine.

    Args:
        port: that leads to the dashboard.
        sandbox: the study, and where its records are.
    """

    def __init__(self, port: int, sandbox: Sandbox) -> None:
        self.port, self.sandbox = port, sandbox
        self.hold = sandbox.root / "hold"

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        address = f"http://127.0.0.1:{self.port}"
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_API_SERVER_ADDRESS": address}
        own |= {"TOY_LOG": str(self.sandbox.log), "TOY_HOLD": str(self.hold)}
        return subprocess.Popen(
            [sys.executable, "-m", "tadtune", *words],
            env={**os.environ, **own, "COLUMNS": "250", **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **more: str) -> tuple[int, str, str]:
        process = self.start(*words, **more)
        output, errors = process.communicate(timeout=240)
        return process.returncode, output, errors

    def documented(self, verb: str, job: str = "") -> list[str]:
        """The documentation's command for a verb, on this person's study."""
        (line,) = [line for line in COMMANDS if line.startswith(f"tadtune {verb}")]
        _, *words = shlex.split(Template(line).substitute(SHARED=self.sandbox.root, JOB=job))
        return [str(self.sandbox.file) if word == "my_study.yaml" else word for word in words]

    def submit(self) -> list[str]:
        return [*self.documented("submit"), "--env", "TOY_LOG", "--env", "TOY_HOLD"]


@pytest.fixture
def client(head: int, tmp_path: Path, toy_sweep: dict[str, Any]) -> Iterator[tuple[Client, Tunnel]]:
    tunnel = Tunnel(head)
    raw = {**toy_sweep, "set": {"detector.sleep_s": 0.2}, "budget": {"trials": TRIALS}}
    yield Client(tunnel.port, Sandbox(tmp_path, raw)), tunnel
    tunnel.close()


def num_scored(sandbox: Sandbox) -> int:
    """Trials that have come to their end."""
    return sum(event["event"] == "test" for event in sandbox.events())


def test_submit_follow_stop_resubmit_resume(client: tuple[Client, Tunnel]) -> None:
    person, tunnel = client
    sandbox = person.sandbox
    following = person.start(*person.submit())
    wait_until(lambda: num_scored(sandbox) >= 1, 180)
    assert tunnel.cut() >= 1
    wait_until(lambda: num_scored(sandbox) >= 3, 180)
    person.hold.touch()  # from here on nothing ends of itself
    following.send_signal(signal.SIGINT)  # Ctrl-C: the person leaves, the job stays
    output, errors = following.communicate(timeout=120)
    assert following.returncode == 130, errors
    upload, submitted, *log = output.splitlines(keepends=True)
    assert upload.startswith("upload: ")
    first = submitted.split(":")[0]
    assert f"{first}: connection lost (" in errors
    assert f"{first}: goes on. `tadtune jobs logs {first}` follows it again" in errors

    code, output, errors = person.run(*person.submit(), "--no-follow")
    assert code == 0, errors
    assert f"{first}: runs this study already; nothing was submitted." in output

    code, output, errors = person.run(*person.documented("jobs stop", first))
    assert code == 0, errors
    assert f"{first}: STOPPED." in output
    assert f"are in {sandbox.folder} on the cluster" in output
    assert 3 <= len(sandbox.results()) < TRIALS
    assert set(sandbox.results().values()) == {"complete"}

    code, whole, errors = person.run(*person.documented("jobs logs", first), "--no-follow")
    assert code == 0, errors
    assert whole.startswith("".join(log))  # over the drop: every character once
    assert "SIGINT: stopped" in whole

    person.hold.unlink()
    second = first[:-1] + "2"
    code, output, errors = person.run(*person.submit())
    assert code == 0, output + errors
    assert f"{second}: submitted; records in {sandbox.folder}, resumes {first}" in output
    assert output.endswith(f"{second}: SUCCEEDED\n")
    sandbox.check_nothing_lost_or_doubled(TRIALS)
    assert not any(key[0] == "test" for key in sandbox.repeated())  # no trial was scored twice
    assert (sandbox.folder / "report" / "report.html").is_file()

    code, output, errors = person.run(*person.documented("jobs list"))
    assert code == 0, errors
    rows = {line.split()[0]: line.split()[1:3] for line in output.splitlines() if line.split()}
    assert rows[first] == ["toy/sweep", "stopped"]
    assert rows[second] == ["toy/sweep", "succeeded"]


def test_the_exit_code_is_the_jobs(client: tuple[Client, Tunnel]) -> None:
    person, _ = client
    person.sandbox.write({**person.sandbox.raw, "study": "toy/no_data", "set": {"dataset.missing": True}})
    code, output, errors = person.run(*person.submit())
    assert code == 2, output + errors
    assert "error: data: " in output  # the driver's own words, from the cluster
    assert "FAILED (Job entrypoint command failed with exit code 2" in output
    (job,) = [line.split(":")[0] for line in output.splitlines() if "submitted; records in" in line]
    code, output, _ = person.run(*person.documented("jobs logs", job))
    assert code == 2
    assert "error: data: " in output


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "the cluster asks for a token (401); set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_TOKEN": "another"}, "the cluster refuses this token (403)"),
    ],
)
def test_without_the_token_every_verb_is_refused(
    client: tuple[Client, Tunnel], environment: dict[str, str], complaint: str
) -> None:
    person, _ = client
    for words in (person.submit(), person.documented("jobs list")):
        code, output, errors = person.run(*words, **environment)
        assert (code, output) == (2, "")
        assert complaint in errors
        assert "Traceback" not in errors
    assert not person.sandbox.storage.exists()


def test_requests_without_the_token_are_refused_by_the_cluster(head: int) -> None:
    """What an attacker would send: a job, an upload, a question."""
    job = json.dumps({"entrypoint": "touch /tmp/owned"}).encode()
    for method, path, data in (
        ("POST", "/api/jobs/", job),
        ("PUT", "/api/packages/gcs/_ray_pkg_0.zip", b"x"),
        ("GET", "/api/jobs/", None),
    ):
        request = urllib.request.Request(f"http://127.0.0.1:{head}{path}", data=data, method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 401
