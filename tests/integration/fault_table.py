"""Kill everything in turn under a study of twelve trials of two workers, and write down what came of it.

Three hosts with Ray and one with MLflow and PostgreSQL, each with its own network, processes and name. The study runs
once undisturbed and once with a training worker, a raylet, a whole host, the driver, the MLflow server and PostgreSQL
killed one after the other, each while trials are between two checkpoints. The page is written only where every check
holds.

    python tests/integration/fault_table.py --out docs/faults.md
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import ray
import torch
from hosts import Cluster
from services import Services
from toy_runs import Sandbox, wait_until

from tadtune.track.faults import WORDS
from tadtune.track.record import TrialRecord

WORKER = "ray::RayTrainWorker"
LEFT_BEHIND = (WORKER, "ray::TrainController", "ray::ImplicitFunc", "ray::ResourceTrainable")
STUDY: dict[str, Any] = {
    "study": "faults/two_workers",
    "kind": "ablation",
    "detector": "kt_mgfn",
    "dataset": "synthetic",
    "set": {
        "dataset.num_videos": 48,
        "detector.data.length": 96,
        "detector.base.width": 48,
        "detector.ktm.enabled": False,
        "detector.optim.batch_size": 6,
        "detector.optim.epochs1": 8,
        "detector.optim.epochs2": 4,
    },
    "seeds": [0, 1, 2],
    "baseline": "base",
    "rows": {
        "base": {},
        "less_dropout": {"set": {"detector.base.dropout": 0.2}},
        "one_dilation": {"set": {"detector.mdcm.dilations": [1]}},
        "wider": {"set": {"detector.base.width": 64}},
    },
    "resources": {"workers": 2},
}
NUM_TRIALS = 12


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    fault: str
    in_flight: int
    noted: str
    back_s: float


class Run:
    """The study on a cluster."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.sandbox = Sandbox(root, STUDY)
        self.cluster = Cluster(root / "hosts", [1, 1, 1, None], {})
        try:
            self.services = Services(self.cluster.host(4), root / "services")
        except BaseException:
            self.cluster.end()
            raise
        self.driver: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """The same command, whether anything has been done or not."""
        box = self.sandbox
        words = [sys.executable, "-m", "tadtune", "run", str(box.file), "--storage", str(box.storage)]
        words += ["--data", str(box.root / "data"), "--address", self.cluster.address]
        words += ["--tracking-uri", self.services.uri]
        self.driver = self.cluster.host(1).start(words, box.root / "driver.log", **self.cluster.environment)

    def records(self) -> list[TrialRecord]:
        folder = self.sandbox.folder / "trials"
        return [TrialRecord(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []

    def in_flight(self, at_least: int = 2) -> list[TrialRecord]:
        """Trials that have a checkpoint and no result."""
        return [r for r in self.records() if r.result() is None and len(r.reports()) >= at_least]

    def suffer(self, fault: str, action: Callable[[], None], target: Callable[[], bool] = lambda: True) -> Row:
        """Let one thing happen between two checkpoints, and wait until what was under way has gone on."""
        assert self.driver is not None, "started"
        wait_until(lambda: bool(self.in_flight()) and target(), 900)
        hit = self.in_flight()
        before = {r.folder.name: (len(r.reports()), len(r.attempts())) for r in hit}
        began = time.time()
        action()
        print(f"{fault}: {len(hit)} trials in flight", flush=True)
        wait_until(lambda: all(r.result() or len(r.reports()) > before[r.folder.name][0] for r in hit), 900)
        # a report that was under way when it happened says nothing yet
        wait_until(lambda: any(r.time > began + 1 for one in self.records() for r in one.reports()), 900)
        noted = [WORDS[a.kind] for r in hit for a in r.attempts()[before[r.folder.name][1] :]]
        words = ", ".join(f"{noted.count(w)} x {w}" for w in sorted(set(noted))) or "nothing lost"
        row = Row(fault, len(hit), words, time.time() - began)
        print(f"  {row.noted}; back after {row.back_s:.0f} s", flush=True)
        return row

    def host_with_workers(self) -> int:
        """A host beside the head where a training worker is; 0 = there is none now."""
        return next((n for n in (3, 2) if self.cluster.host(n).processes(WORKER)), 0)

    def finish(self) -> None:
        """Wait for the driver, and check that nothing is left behind."""
        assert self.driver is not None, "started"
        self.driver.wait(1800)
        if self.driver.returncode:
            raise AssertionError((self.sandbox.root / "driver.log").read_text()[-5000:])
        wait_until(lambda: not self.left_behind(), 60)
        results = self.sandbox.results()
        assert list(results.values()) == ["complete"] * NUM_TRIALS, results
        runs = self.services.runs(STUDY["study"])
        trials = sorted((trial_id, status) for kind, trial_id, status in runs if kind == "trial")
        assert trials == [(trial_id, "FINISHED") for trial_id in sorted(results)], trials
        assert "RUNNING" not in {status for _, _, status in runs}, runs

    def left_behind(self) -> list[str]:
        """Command lines of processes that belong to a trial."""
        return [" ".join(p.cmdline()) for h in self.cluster.hosts for n in LEFT_BEHIND for p in h.processes(n)]

    def results(self) -> dict[str, Any]:
        """Everything of every trial that must not depend on what happened on the way."""
        return {r.folder.name: _content(r) for r in self.records()}

    def end(self) -> None:
        """End all hosts."""
        self.cluster.end()


def _content(record: TrialRecord) -> dict[str, Any]:
    result = record.result()
    assert result is not None, record.folder
    state = torch.load(record.checkpoint, weights_only=True)
    weights = hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in state["weights"].values()))
    detections = (record.artifacts / "detections_test.json").read_bytes()
    return {
        "status": result.status,
        "metrics": dict(result.metrics),
        "history": [dict(report.metrics) for report in record.reports()],
        "weights": weights.hexdigest(),
        "detections": hashlib.sha256(detections).hexdigest(),
    }


def undisturbed(root: Path) -> tuple[dict[str, Any], float]:
    """Results of a run in which nothing happens, and its seconds."""
    run = Run(root)
    try:
        began = time.time()
        run.start()
        run.finish()
        return run.results(), time.time() - began
    finally:
        run.end()


def disturbed(root: Path) -> tuple[dict[str, Any], list[Row], float]:
    """Results of a run in which everything happens, one line each, and its seconds."""
    run = Run(root)
    cluster = run.cluster
    try:
        began = time.time()
        run.start()
        rows = [run.suffer("a training worker, kill -9", lambda: _kill_worker(run), lambda: bool(_worker(run)))]
        number = 0

        def lose(action: Callable[[int], None]) -> Callable[[], None]:
            def act() -> None:
                nonlocal number
                number = run.host_with_workers()
                action(number)

            return act

        there = lambda: bool(run.host_with_workers())  # noqa: E731
        rows.append(run.suffer("a raylet, kill -9", lose(cluster.kill_raylet), there))
        cluster.bring_up(number)
        rows.append(run.suffer("a whole host, links cut, replaced later", lose(cluster.cut), there))
        cluster.replace(number)
        assert "nothing lost" not in {row.noted for row in rows}, rows
        rows.append(run.suffer("the driver, kill -9, same command again", lambda: _restart_driver(run)))
        rows.append(run.suffer("the MLflow server, kill -9, started later", run.services.kill_mlflow))
        run.services.start_mlflow()
        rows.append(run.suffer("PostgreSQL, kill -9, started later", run.services.kill_postgres))
        run.services.start_postgres()
        run.finish()
        return run.results(), rows, time.time() - began
    finally:
        run.end()


def _worker(run: Run) -> Any:
    found = [p for n in (2, 3, 1) for p in run.cluster.host(n).processes(WORKER)]
    return found[0] if found else None


def _kill_worker(run: Run) -> None:
    _worker(run).kill()


def _restart_driver(run: Run) -> None:
    for process in run.cluster.host(1).processes(f"{sys.executable} -m tadtune run"):
        process.kill()
    assert run.driver is not None, "started"
    run.driver.wait(60)
    run.start()


def page(rows: list[Row], plain_s: float, disturbed_s: float) -> str:
    """The page."""
    lines = [
        "# Faults and their outcomes",
        "",
        "Written by `make faults` (`tests/integration/fault_table.py`) at the end of a run in which every check held;",
        "do not edit. Three hosts with Ray (a CPU each) and one with MLflow on PostgreSQL, every host with a network,",
        "processes and a name of its own on one machine; a study of 12 trials, each on two workers and so on two of",
        "the three hosts, with a checkpoint after every epoch. All faults happened in one run of it, each while a",
        "trial was between two checkpoints; *back* counts until that trial had reported again.",
        "",
        "| what was lost | trials under way | attempts noted as ended by it | back after |",
        "|---|---|---|---|",
        *(f"| {row.fault} | {row.in_flight} | {row.noted} | {row.back_s:.0f} s |" for row in rows),
        "",
        f"In the end: {NUM_TRIALS} of {NUM_TRIALS} trials complete, each once in the records and once in MLflow;",
        "every metric of every epoch, the final weights and the detections on `test` bitwise equal to those of an",
        "undisturbed run; no process of a trial left on any host.",
        "",
        f"Seconds for the whole study: {plain_s:.0f} undisturbed, {disturbed_s:.0f} with all faults, on a machine of",
        f"{os.cpu_count()} cores shared with other work: times are upper bounds. A host that is cut off is noticed by",
        f"Ray's health checks, set to {hosts.HEALTH['RAY_health_check_failure_threshold']} misses at intervals of",
        f"{int(hosts.HEALTH['RAY_health_check_period_ms']) // 1000} s here; by default it takes about a minute.",
        "",
        f"Ray {ray.__version__}, torch {torch.__version__.split('+')[0]}, gloo; {time.strftime('%Y-%m-%d')}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run twice, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if hosts.why_not():
        sys.exit(f"no hosts on this machine: {hosts.why_not()}")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="faults.") as scratch:
        expected, plain_s = undisturbed(Path(scratch) / "plain")
        found, rows, seconds = disturbed(Path(scratch) / "disturbed")
    if found != expected:
        different = [i for i in expected if found.get(i) != expected[i]]
        sys.exit(f"results differ from the undisturbed run: {', '.join(different) or 'other trials'}")
    arguments.out.write_text(page(rows, plain_s, seconds), encoding="utf-8")
    print(f"{arguments.out} written")


if __name__ == "__main__":
    main()
