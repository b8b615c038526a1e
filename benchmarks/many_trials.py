"""Many trials: what deciding costs without Ray, and what a trial costs the driver on a simulated cluster.

``plan`` makes the records of a study of which half is finished, and times everything between the command and the first
trial: reading the study, planning, comparing with the earlier launch, reading every record, choosing what is left; for
an ablation, and for a sweep whose Optuna storage is opened (and once rebuilt from the records). The baseline is what
cannot be avoided: reading every ``result.json`` once.

``cluster`` starts that many raylets on this machine and runs one ablation of tiny trials over them, ``--concurrent`` at
a time, the rest queued. Clock and CPU seconds of the driver are read whenever so many trials (``--trials``) have ended:
what a trial costs from one such mark to the next must not grow. The first mark holds the start of the driver and of
the trials' processes. A trial sleeps for some seconds, so that all of them run at once: a controller that keeps up
ends one every ``seconds / concurrent``. The baseline is bare Ray Tune with reused actors and the same concurrency, on
the same raylets.

    python benchmarks/many_trials.py plan --trials 10000
    python benchmarks/many_trials.py cluster --nodes 50 --cpus 2 --trials 100 400 700 1000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from simulated_cluster import busy_processes, simulated_cluster

PLUGINS = Path(__file__).resolve().parent.parent / "tests" / "plugins"
sys.path.insert(0, str(PLUGINS))
SEEDS = 10
PARTS = {"trainable": "toy", "detector": "toy", "dataset": "toy", "protocol": "toy"}

BARE = """
import os, sys, time
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
import ray
from ray import tune

address, trials, concurrent, storage, cpus = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
seconds = float(sys.argv[6])
os.makedirs(os.path.join(storage, "ended"))

class Tiny(tune.Trainable):
    def setup(self, config):
        self.epoch = 0
    def step(self):
        time.sleep(self.config["seconds"] / 3)
        self.epoch += 1
        if self.epoch == 3:
            open(os.path.join(self.config["ended"], self.trial_id), "w").close()
        return {"value": self.config["x"] * self.epoch, "done": self.epoch == 3}
    def reset_config(self, config):
        self.setup(config)
        return True
    def save_checkpoint(self, folder): pass
    def load_checkpoint(self, state): pass

ray.init(address=address, log_to_driver=False, logging_level="ERROR")
tune.Tuner(
    tune.with_resources(Tiny, {"cpu": float(cpus)}),
    param_space={"x": tune.uniform(0, 1), "ended": os.path.join(storage, "ended"), "seconds": seconds},
    tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=True, max_concurrent_trials=concurrent),
    run_config=tune.RunConfig(storage_path=storage, verbose=0),
).fit()
"""


def ablation(trials: int, **resources: Any) -> dict[str, Any]:
    """An ablation of so many distinct trials, as its file holds it."""
    seeds = min(SEEDS, trials)
    rows = {f"r{i}": {"set": {"detector.x": i / (trials // seeds)}} for i in range(trials // seeds)}
    head = {**PARTS, "study": f"bench/ablation{trials}", "kind": "ablation", "baseline": "r0"}
    return {**head, "seeds": list(range(seeds)), "rows": rows, "resources": resources}


def sweep(trials: int) -> dict[str, Any]:
    """A sweep of so many trials, as its file holds it."""
    head = {**PARTS, "study": f"bench/sweep{trials}", "kind": "sweep", "sampler": "random"}
    return {**head, "space": {"detector.x": "auto", "detector.y": "auto"}, "budget": {"trials": trials}}


def timed(name: str, action: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds and CPU seconds, printed."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:58} {wall:8.2f} {cpu:8.2f}", flush=True)
    return wall, result


def measure_plan(trials: int, root: Path) -> None:
    """Time the decision for an ablation and a sweep of which half is finished."""
    from tadtune.plan.ablation import plan_ablation
    from tadtune.plan.trial import Trial, make_trial
    from tadtune.spec.parse import load_study
    from tadtune.track.record import Result, TrialRecord
    from tadtune.track.study_folder import StudyFolder

    metrics = {f"test/map_tiou_{t:.2f}": 0.5 for t in (0.3, 0.4, 0.5, 0.6, 0.7)}

    def finish(folder: StudyFolder, done: list[Trial]) -> None:
        for trial in done:
            record = TrialRecord(folder.record(trial.id).folder)
            record.start(trial, {"data": "toy-1-a"})
            record.finish(Result("complete", metrics=metrics, objective=0.5, epochs=3))

    print(f"{trials} trials, half of them finished{'':24} {'wall s':>8} {'CPU s':>8}")
    for raw in (ablation(trials), sweep(trials)):
        path = root / f"{raw['kind']}.yaml"
        path.write_text(yaml.safe_dump(raw))
        study = load_study(path)
        folder = StudyFolder(root / "runs", study.slug)
        if study.sweep is None:
            finish(folder, [item.trial for item in plan_ablation(study)][: trials // 2])
        else:
            points = [{"detector.x": i / trials, "detector.y": i % 5} for i in range(trials // 2)]
            finish(folder, [make_trial(study, study.parts, point, study.sweep.seed) for point in points])
            timed("sweep: Optuna's storage rebuilt from the records", lambda p=path: decide(p, root))
        decision, left = timed(f"{raw['kind']}: plan and resume decision", lambda p=path: decide(p, root))
        results = sorted(folder.path.glob("trials/*/result.json"))
        baseline, _ = timed("  every result.json read once", lambda r=results: [json.loads(p.read_text()) for p in r])
        print(f"  {left} left; ratio to the baseline {decision / baseline:.1f}")


def decide(path: Path, root: Path) -> int:
    """Everything a launch does before it starts Ray; how many trials are left."""
    from rich.console import Console

    from tadtune.run.engine import Settings, prepare_launch
    from tadtune.spec.parse import load_study

    settings = Settings(root / "runs", root / "data")
    with prepare_launch(load_study(path), settings, Console(quiet=True)) as launch:
        source, finished = launch.begin()
        return source.total() - len(finished)


@dataclass(frozen=True)
class Load:
    """What is asked of a cluster.

    Attributes:
        trials: of the study.
        concurrent: trials at once.
        cpus: of a trial.
        seconds: that a trial sleeps.
    """

    trials: int
    concurrent: int
    cpus: float
    seconds: float


def measure_cluster(nodes: int, cpus: float, load: Load, marks: list[int], root: Path) -> None:
    """Time an ablation of tiny trials on a simulated cluster, and bare Ray Tune on the same one."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the nodes as well: trials' processes inherit from them
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])])
    with simulated_cluster(nodes, cpus) as address:
        left = psutil.virtual_memory().available >> 20
        print(f"{nodes} raylets of {cpus:g} CPUs run ({left} MiB left); {load}")
        print(f"at best a trial ends every {load.seconds / load.concurrent:.3f} s")
        names = f"{'trials ended':>14} {'processes':>10} {'wall s':>8} {'driver CPU s':>13}"
        print(f"{'':28} {names} {'wall / trial':>13} {'CPU / trial':>12}")
        for name, make in (("bare Ray Tune, reused actors", bare_command), ("tadtune", own_command)):
            command, ended = make(load, address, root)
            before = (0, 0.0, 0.0)
            for number, wall, driver in run_watched(command, ended, marks):
                n = number - before[0]
                print(
                    f"{name:28} {f'{before[0]} to {number}':>14} {busy_processes():10} {wall:8.1f} {driver:13.1f} "
                    f"{(wall - before[1]) / n:13.3f} {(driver - before[2]) / n:12.4f}",
                    flush=True,
                )
                before = (number, wall, driver)


#: How to run something, and what counts its trials that have ended.
Watched = tuple[list[str], Callable[[], int]]


def bare_command(load: Load, address: str, root: Path) -> Watched:
    """Bare Ray Tune, whose trials leave an empty file at their end."""
    script, storage = root / "bare.py", root / "tune"
    script.write_text(BARE)
    settings = (load.trials, load.concurrent, storage, load.cpus, load.seconds)
    return [sys.executable, str(script), address, *map(str, settings)], lambda: len(list(storage.glob("ended/*")))


def own_command(load: Load, address: str, root: Path) -> Watched:
    """``tadtune run``."""
    path, storage = root / "study.yaml", root / "runs"
    study = ablation(load.trials, cpus=load.cpus, max_concurrent=load.concurrent)
    path.write_text(yaml.safe_dump({**study, "set": {"detector.epochs": 3, "detector.sleep_s": load.seconds / 3}}))
    words = [sys.executable, "-m", "tadtune", "run", str(path), "--address", address]
    words += ["--storage", str(storage), "--data", str(root / "data")]
    return words, lambda: len(list(storage.glob("*/trials/*/artifacts/detections_test.json")))  # a failed one has none


def run_watched(command: list[str], ended: Callable[[], int], marks: list[int]) -> Iterator[tuple[int, float, float]]:
    """At every mark: trials ended, wall seconds, CPU seconds of the driver (trials' processes are the raylets')."""
    with tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        driver = psutil.Process(process.pid)
        number, over = 0, False
        for mark in marks:
            if number >= mark:  # passed since the last look
                continue
            while number < mark and not over:
                time.sleep(0.5)
                over = driver.status() == psutil.STATUS_ZOMBIE  # not waited for yet: its times can still be read
                number = ended()
            if number < mark:
                break
            times = driver.cpu_times()
            yield number, time.monotonic() - began, times.user + times.system
        if process.wait() != 0 or number < marks[-1]:
            errors.seek(0)
            said = f"ended with {process.returncode} after {number} of {marks[-1]} trials"
            sys.exit(f"{' '.join(command[:4])} {said}:\n{errors.read()[-3000:]}")


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("plan", "cluster"))
    parser.add_argument("--trials", type=int, nargs="+", default=None)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--cpus", type=float, default=2.0, help="of each node")
    parser.add_argument("--share", type=float, default=0.5, help="CPUs of a trial")
    parser.add_argument("--concurrent", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15.0, help="that a trial takes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.what == "plan":
            for trials in arguments.trials or [10_000]:
                measure_plan(trials, Path(scratch))
        else:
            marks = sorted(arguments.trials or [100, 400, 700, 1000])
            load = Load(marks[-1], arguments.concurrent, arguments.share, arguments.seconds)
            measure_cluster(arguments.nodes, arguments.cpus, load, marks, Path(scratch))


if __name__ == "__main__":
    main()
