"""Helpers of the integration tests: the command line as a person runs it, and what it left behind."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from rich.console import Console

from tadtune.conclusion import conclude
from tadtune.run.engine import Outcome, Settings, run_study
from tadtune.spec.parse import parse_study
from tadtune.track.mlflow_tracking.database import make_sqlite
from tadtune.track.mlflow_tracking.server import Server
from tadtune.track.record import TrialRecord


@cache
def _empty_database() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="mlflow-")
    make_sqlite(f"sqlite:///{folder.name}/mlflow.db")
    return folder


def lay_database(storage: Path) -> None:
    """Put an empty data base of MLflow's where a storage has none: making one takes a driver seconds."""
    file = storage / "mlflow.db"
    if not file.exists():
        storage.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(_empty_database().name) / file.name, file)


class Sandbox:
    """A storage folder, a study file, and ``tadtune`` in processes of its own.

    Args:
        root: an empty folder.
        raw: the study, as its file holds it.
        tracking_uri: MLflow's address, None = the file in the storage.
    """

    def __init__(self, root: Path, raw: dict[str, Any], tracking_uri: str | None = None) -> None:
        self.root = root
        self.storage = root / "runs"
        self.log = root / "toy.log"
        self.file = root / "study.yaml"
        self.tracking_uri = tracking_uri
        self.write(raw)

    def write(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.file.write_text(yaml.safe_dump(raw))

    @property
    def folder(self) -> Path:
        return self.storage / self.raw["study"].replace("/", "__")

    def start(self, *python: str) -> subprocess.Popen[str]:
        """The driver in a process of its own.

        Args:
            python: its arguments in place of ``-m tadtune``.
        """
        command = [sys.executable, *(python or ("-m", "tadtune")), "run", str(self.file)]
        command += ["--storage", str(self.storage), "--data", str(self.root / "data")]
        if self.tracking_uri:
            command += ["--tracking-uri", self.tracking_uri]
        else:
            lay_database(self.storage)
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        return subprocess.Popen(
            command,
            env={**environment, "TOY_LOG": str(self.log), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, timeout_s: float = 240.0) -> tuple[int, str]:
        process = self.start()
        output, _ = process.communicate(timeout=timeout_s)
        return process.returncode, output

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def repeated(self) -> dict[tuple[Any, ...], int]:
        """Epochs and test scorings that happened more than once."""
        keys = Counter((e["event"], e["x"], e["y"], e["seed"], e["epoch"]) for e in self.events())
        return {key: count for key, count in keys.items() if count > 1}

    def records(self) -> list[TrialRecord]:
        """Of every trial that has begun."""
        return [TrialRecord(path) for path in sorted((self.folder / "trials").glob("*"))]

    def results(self) -> dict[str, str]:
        """Trial id -> status of every finished trial."""
        results = {record.folder.name: record.result() for record in self.records()}
        return {i: r.status for i, r in results.items() if r is not None}

    def optuna_states(self) -> Counter[str]:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        storage = JournalStorage(JournalFileBackend(str(self.folder / "optuna.journal")))
        (name,) = optuna.get_all_study_names(storage)
        return Counter(t.state.name for t in optuna.load_study(study_name=name, storage=storage).trials)

    def mlflow_runs(self) -> dict[str, list[Any]]:
        """Kind -> runs of the study."""
        client = MlflowClient(tracking_uri=self.tracking_uri or f"sqlite:///{self.storage / 'mlflow.db'}")
        experiment = client.get_experiment_by_name(self.raw["study"])
        found: dict[str, list[Any]] = {}
        for run in client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []:
            found.setdefault(run.data.tags["tadtune.kind"], []).append(run)
        return found

    def check_nothing_lost_or_doubled(self, trials: int) -> None:
        """Every trial once: in the records, in MLflow, in the sampler's memory."""
        results = self.results()
        assert len(results) == trials
        assert set(results.values()) <= {"complete", "pruned"}
        runs = self.mlflow_runs()
        assert sorted(r.data.tags["tadtune.trial_id"] for r in runs["trial"]) == sorted(results)
        assert {r.info.status for r in runs["trial"]} <= {"FINISHED", "KILLED"}
        launches = {r.info.run_id for r in runs["launch"]}
        assert all(r.data.tags["mlflow.parentRunId"] in launches for r in runs["trial"])
        assert "RUNNING" not in {r.info.status for r in runs["launch"]}
        if (self.folder / "optuna.journal").exists():
            states = self.optuna_states()
            assert not {"RUNNING", "WAITING"} & set(states)
            assert states["COMPLETE"] + states["PRUNED"] >= trials


class Here:
    """Runs studies in this process, on the session's cluster.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = io.StringIO()
        lay_database(root / "runs")

    def run(self, raw: dict[str, Any], *, only_failed: bool = False) -> Outcome:
        console = Console(file=self.output, width=200)
        settings = Settings(self.root / "runs", self.root / "data", only_failed=only_failed)
        return run_study(parse_study(raw), settings, console, conclude)

    def sandbox(self, raw: dict[str, Any]) -> Sandbox:
        return Sandbox(self.root, raw)


def wait_until(condition: Callable[[], bool], timeout_s: float = 120.0, every_s: float = 0.05) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: it did not.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time")
        time.sleep(every_s)


def worker_pids(sandbox: Sandbox) -> list[int]:
    """Processes that trained an epoch and are still there."""
    pids = {event["pid"] for event in sandbox.events()}
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a page answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


class MlflowServer:
    """A server on a storage folder's runs, in a process group of its own.

    Args:
        storage: the folder.
    """

    def __init__(self, storage: Path) -> None:
        storage.mkdir(parents=True, exist_ok=True)
        self._server = Server(storage, free_port())
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = self._server.uri

    def start(self) -> None:
        lay_database(self._server.storage)
        self._process = subprocess.Popen(
            self._server.command(),
            env=self._server.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: answers(f"{self.uri}/health"), 180)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
