"""How long a pruned trial of two Ray Train workers goes on holding the cluster, from the decision on.

A study of one trial runs on a local Ray; a better trial is in the sampler's memory, so that the pruner stops this one
at its first report. From that decision on it is measured until Ray offers all CPUs again, and until the last process
of the group has ended. The baseline is the least Ray can do: a placement group of two actors, removed by hand in the
same session. Wall seconds, the median of some repetitions.

    python benchmarks/pruned_release.py --repeats 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import ray
from rich.console import Console

PLUGINS = Path(__file__).resolve().parent.parent / "tests" / "plugins"
sys.path.insert(0, str(PLUGINS))
os.environ["PYTHONPATH"] = os.pathsep.join([str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])])  # of workers

from tadtune.run.engine import Settings, run_study  # noqa: E402
from tadtune.run.session import ray_session  # noqa: E402
from tadtune.search.sweep import SweepSource  # noqa: E402
from tadtune.spec.parse import parse_study  # noqa: E402
from tadtune.spec.study import Study  # noqa: E402
from tadtune.track.record import Result  # noqa: E402
from tadtune.track.study_folder import StudyFolder  # noqa: E402

EPOCHS = 200


def group_study(cpus: float) -> Study:
    """Two workers that fill the cluster, and a pruner that compares with the one trial that has ended."""
    return parse_study(
        {
            **dict.fromkeys(("trainable", "detector", "dataset", "protocol"), "toy"),
            "study": "bench/pruned",
            "kind": "sweep",
            "set": {"detector.epochs": EPOCHS, "detector.sleep_s": 0.2},
            "space": {"detector.x": "auto", "detector.y": "auto"},
            "budget": {"trials": 2},
            "pruner": {"name": "median", "n_startup_trials": 1, "n_warmup_steps": 0},
            "resources": {"workers": 2, "cpus": cpus / 2},
        }
    )


def tell_of_a_better_trial(study: Study, folder: StudyFolder) -> None:
    """A trial that no other reaches."""
    source = SweepSource(study, folder)
    trial = source.next()
    assert trial is not None, "a new study"
    for epoch in range(1, EPOCHS + 1):
        source.should_stop(trial.id, epoch, 2.0)
    folder.record(trial.id).start(trial, {})
    folder.record(trial.id).finish(Result("complete", objective=2.0, epochs=EPOCHS))
    source.ended(trial.id, Result("complete", objective=2.0, epochs=EPOCHS))


class Stopwatch:
    """Wall seconds from a moment until the cluster is free and until the processes of the group have ended.

    Args:
        cpus: of the cluster.
    """

    def __init__(self, cpus: float) -> None:
        self._cpus = cpus
        self._group: list[psutil.Process] = []
        self._thread = threading.Thread(target=self._watch)
        self.free_s = self.gone_s = 0.0

    def start(self, name: str) -> None:
        """Now; the group are the processes of this name."""
        self._began = time.monotonic()
        self._group = [p for p in psutil.Process().children(recursive=True) if name in "".join(p.cmdline()[:1])]
        self._thread.start()

    def _watch(self) -> None:
        self.free_s = self._until(lambda: ray.available_resources().get("CPU", 0.0) == self._cpus)
        self.gone_s = self._until(lambda: not any(p.is_running() for p in self._group))

    def _until(self, condition: Callable[[], bool]) -> float:
        while not condition():
            time.sleep(0.01)
        return time.monotonic() - self._began

    def read(self) -> tuple[float, float]:
        """Wait for both."""
        self._thread.join()
        return self.free_s, self.gone_s


def pruned(cpus: float) -> tuple[float, float]:
    """One study with one pruned trial."""
    study, watch = group_study(cpus), Stopwatch(cpus)
    decide = SweepSource.should_stop

    def watched(source: SweepSource, *report: Any) -> bool:
        stop = decide(source, *report)
        if stop:
            watch.start("RayTrainWorker")
        return stop

    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(Path(scratch) / "runs", Path(scratch) / "data")
        tell_of_a_better_trial(study, StudyFolder(settings.storage, study.slug))
        SweepSource.should_stop = watched  # type: ignore[method-assign]
        try:
            run_study(study, settings, Console(quiet=True), lambda study, folder: ([], []))
        finally:
            SweepSource.should_stop = decide  # type: ignore[method-assign]
        return watch.read()


def removed(cpus: float) -> tuple[float, float]:
    """A placement group of two actors, removed by hand."""

    @ray.remote
    class Idle:
        def ready(self) -> None:
            """It runs."""

    group = ray.util.placement_group([{"CPU": cpus / 2}] * 2)
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    actors = [Idle.options(num_cpus=cpus / 2, scheduling_strategy=strategy).remote() for _ in range(2)]
    ray.get([actor.ready.remote() for actor in actors])
    watch = Stopwatch(cpus)
    watch.start("Idle")
    ray.util.remove_placement_group(group)
    return watch.read()


def main() -> None:
    """Both, alternately."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with ray_session("local", dashboard=True) as nodes:
        cpus = sum(node.get("CPU", 0.0) for node in nodes)
        rows = [(removed(cpus), pruned(cpus)) for _ in range(repeats)]
    print(f"{'until, in wall s after the decision':40} {'CPUs free':>10} {'processes gone':>15}")
    for index, name in enumerate(("placement group removed by hand", "pruned trial of two workers")):
        free, gone = (statistics.median(row[index][part] for row in rows) for part in (0, 1))
        print(f"{name:40} {free:10.2f} {gone:15.2f}")


if __name__ == "__main__":
    main()
