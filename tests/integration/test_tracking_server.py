"""`tadtune server up` on PostgreSQL, reached from other machines: accounts, names, a study's records."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from toy_runs import free_port, wait_until

from tadtune.track.mlflow_tracking.check import tracking_problem

pytestmark = pytest.mark.slow

PASSWORD = "a-password-of-this-test"


def postgres_programs() -> Path | None:
    """Folder of PostgreSQL's programs: on the path, or where Debian keeps them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda p: int(p.parent.name))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Address of an empty data base on loopback."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's programs: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    as_owner = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        owner = pwd.getpwnam("nobody")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    port = free_port()

    def run(*words: str) -> None:
        subprocess.run(
            [str(programs / words[0]), *words[1:]],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=90,
            **as_owner,  # type: ignore[call-overload]
        )

    data = str(folder / "data")
    run("initdb", "-D", data, "-A", "trust", "-U", "mlflow", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "runs")
        yield f"postgresql://mlflow:geheim@127.0.0.1:{port}/runs"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a server that other machines could reach, and what it wrote."""
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    command = [sys.executable, "-m", "tadtune", "server", "up", "--host", "0.0.0.0", "--port", str(port)]
    command += ["--storage", str(folder / "runs"), "--allowed-host", "mlflow.lab"]
    secrets = {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_FLASK_SERVER_SECRET_KEY": "k"}
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            env={**os.environ, **secrets, "MLFLOW_BACKEND_STORE_URI": postgres, "PYTHONUNBUFFERED": "1"},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "MLflow answers" in log.read_text() or process.poll() is not None, 240)
        yield f"http://127.0.0.1:{port}", log
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
        assert tracking_problem(f"http://127.0.0.1:{port}").startswith(f"http://127.0.0.1:{port} does not answer")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


def test_it_was_checked_and_says_so(server: tuple[str, Path], postgres: str) -> None:
    uri, log = server
    words = log.read_text()
    assert f"MLflow answers at {uri}, with accounts" in words
    assert words.count(" made\n") == 1  # one schema, made before the server began
    assert words.index(" made\n") < words.index("Uvicorn running")
    assert "geheim" not in words
    assert PASSWORD not in words
    assert tracking_problem(postgres) == ""


def test_without_an_account_nobody_gets_in(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    uri, _ = server
    assert tracking_problem(uri).startswith(f"{uri} asks for an account (401)")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "password1234")
    assert tracking_problem(uri).startswith(f"{uri} refuses this account (401)")


@pytest.mark.parametrize(("host", "status"), [("mlflow.lab", 200), ("mlflow.lab:{}", 200), ("evil.example", 403)])
def test_it_answers_to_its_names(server: tuple[str, Path], account: None, host: str, status: int) -> None:
    uri, _ = server
    name = host.format(uri.rsplit(":", 1)[1])
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    manager.add_password(None, uri, "admin", PASSWORD, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    headers = {"Host": name, "Origin": f"http://{name}", "Content-Type": "application/json"}
    body = f'{{"max_results": 1, "filter": "name = \'{status}\'"}}'.encode()
    request = urllib.request.Request(f"{uri}/api/2.0/mlflow/experiments/search", data=body, headers=headers)
    try:
        with opener.open(request, timeout=10) as reply:
            assert reply.status == status
    except urllib.error.HTTPError as refused:
        assert refused.code == status


def test_records_arrive_in_postgresql(server: tuple[str, Path], account: None, postgres: str) -> None:
    uri, _ = server
    assert tracking_problem(uri) == ""
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(client.create_experiment("lab/study"))
    client.log_metric(run.info.run_id, "select/avg_map", 0.5)
    stored = MlflowClient(tracking_uri=postgres).get_run(run.info.run_id)
    assert stored.data.metrics == {"select/avg_map": 0.5}
