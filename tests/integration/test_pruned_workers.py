"""A pruned trial of several workers gives back what it held before the next trial starts."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from rich.console import Console
from toy_runs import lay_database, wait_until

from tadtune.conclusion import conclude
from tadtune.run.engine import Settings, run_study
from tadtune.search.sweep import SweepSource
from tadtune.spec.parse import parse_study
from tadtune.spec.study import Study
from tadtune.track.record import Result
from tadtune.track.study_folder import StudyFolder

pytestmark = pytest.mark.slow

WORKER = "ray::RayTrainWorker"
EPOCHS = 200


def workers() -> set[int]:
    """Processes of groups that train, of this process's cluster."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[0].startswith(WORKER) and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
        except (psutil.Error, IndexError):
            continue
    return found


def tell_of_a_better_trial(study: Study, folder: StudyFolder) -> str:
    """A trial that no other reaches is in the sampler's memory: every later one is pruned at its first report."""
    source = SweepSource(study, folder)
    trial = source.next()
    assert trial is not None
    record = folder.record(trial.id)
    record.start(trial, {})
    for epoch in range(1, EPOCHS + 1):
        assert not source.should_stop(trial.id, epoch, 2.0)
    result = Result("complete", metrics={"select/avg_map": 2.0}, objective=2.0, epochs=EPOCHS)
    record.finish(result)
    source.ended(trial.id, result)
    return trial.id


class Watch:
    """Looks, while a study runs, which processes there are when a trial's first report is written.

    Args:
        folder: of the study.
        ignored: trial not to look at.
    """

    def __init__(self, folder: StudyFolder, ignored: str) -> None:
        self._folder, self._ignored = folder, ignored
        self.at_start: dict[str, set[int]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(done,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look(self, done: threading.Event) -> None:
        while not done.wait(0.02):
            for trial_id in self._folder.records().keys() - {self._ignored} - self.at_start.keys():
                self.at_start[trial_id] = workers()


def test_the_next_trial_finds_the_processors_free_and_the_pruned_ones_gone(
    tmp_path: Path, toy_sweep: dict[str, Any], ray_cluster: list[dict[str, float]]
) -> None:
    everything = sum(node.get("CPU", 0.0) for node in ray_cluster)
    study = parse_study(
        {
            **toy_sweep,
            "set": {"detector.epochs": EPOCHS, "detector.sleep_s": 0.2},
            "budget": {"trials": 3},
            "pruner": {"name": "median", "n_startup_trials": 1, "n_warmup_steps": 0},
            "resources": {"workers": 2, "cpus": everything / 2},  # one trial fills the cluster
        }
    )
    lay_database(tmp_path / "runs")
    folder = StudyFolder(tmp_path / "runs", study.slug)
    watch = Watch(folder, tell_of_a_better_trial(study, folder))
    with watch.watching():
        settings = Settings(tmp_path / "runs", tmp_path / "data")
        outcome = run_study(study, settings, Console(file=io.StringIO(), width=200), conclude)
    assert dict(outcome.counts) == {"complete": 1, "pruned": 2, "failed": 0, "running": 0}
    results = {trial_id: folder.record(trial_id).result() for trial_id in watch.at_start}
    first, second = sorted(results, key=lambda i: results[i].finished_at)  # type: ignore[union-attr]
    assert len(watch.at_start[first]) == 2
    assert len(watch.at_start[second]) == 2
    assert not watch.at_start[first] & watch.at_start[second]
    for trial_id in (first, second):
        record = folder.record(trial_id)
        assert record.attempts() == []  # it did not wait in vain, nor die
        assert len(record.reports()) < EPOCHS / 10
    # the second was started while the study ran, not after the first had held the cluster to its own end
    assert results[first].finished_at < folder.record(second).reports()[0].time  # type: ignore[union-attr]
    wait_until(lambda: ray.available_resources().get("CPU") == everything and not workers(), 60)  # nor is the last left
