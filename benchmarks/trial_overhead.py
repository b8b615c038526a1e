"""What a trial costs beside its work: CPU seconds, wall seconds, memory and MLflow requests per trial.

Every way runs the same trivial function (a few additions per epoch) in a process tree of its own, one after the other
in this run: bare Ray Tune (a plain function; a class with reused actors), tadtune in process, tadtune on one Ray Train
worker. Start-up (Ray, imports, the tracker) is measured with a short study and subtracted: what counts is the slope.

    python benchmarks/trial_overhead.py --trials 44 --workers-trials 3
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

PLUGINS = Path(__file__).resolve().parent.parent / "tests" / "plugins"
EPOCHS = 3

BARE = """
import os, sys
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AUTH_MODE"] = "disabled"
import ray
from ray import tune

kind, trials, storage, epochs = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def score(x, y, epoch):
    return (0.9 - (x - 0.3) ** 2 - 0.1 * (y - 2) ** 2) * epoch / epochs

def function(config):
    for epoch in range(1, epochs + 1):
        tune.report({"value": score(config["x"], config["y"], epoch)})

class Reused(tune.Trainable):
    def setup(self, config):
        self.config, self.epoch = config, 0
    def step(self):
        self.epoch += 1
        return {"value": score(self.config["x"], self.config["y"], self.epoch), "done": self.epoch == epochs}
    def reset_config(self, config):
        self.setup(config)
        return True
    def save_checkpoint(self, folder): pass
    def load_checkpoint(self, state): pass

ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
tune.Tuner(
    tune.with_resources(function if kind == "function" else Reused, {"cpu": 1}),
    param_space={"x": tune.uniform(0, 1), "y": tune.randint(0, 5)},
    tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=kind == "reused"),
    run_config=tune.RunConfig(storage_path=storage, verbose=0),
).fit()
"""

#: Counts what the tracker asks of MLflow, in the driver's own process.
COUNTED = """
import json, os
from mlflow import MlflowClient
counts = {}
for name in ("create_run", "log_batch", "set_terminated", "log_artifact", "set_tag"):
    def wrapper(self, *a, _n=name, _o=getattr(MlflowClient, name), **k):
        counts[_n] = counts.get(_n, 0) + 1
        return _o(self, *a, **k)
    setattr(MlflowClient, name, wrapper)
from tadtune.cli import main
try:
    main()
finally:
    with open(os.environ["REQUESTS"], "w") as stream:
        json.dump(counts, stream)
"""


@dataclass
class Cost:
    """Of one process tree."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    requests: dict[str, int]


def measure(command: list[str], folder: Path) -> Cost:
    """CPU seconds of the whole tree (Ray's own processes included), wall seconds, peak private memory."""
    requests = folder / "requests.json"
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS), "REQUESTS": str(requests), "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seen: dict[int, float] = {}
    peak = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            memory = 0.0
            for p in _tree(process.pid):
                try:
                    times = p.cpu_times()
                    seen[p.pid] = times.user + times.system
                    memory += p.memory_full_info().uss / 2**20
                except psutil.Error:
                    continue
            peak = max(peak, memory)
            done.wait(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    wall = time.monotonic() - began
    done.set()
    watcher.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command[:3])} failed:\n{errors[-3000:]}")
    counts = json.loads(requests.read_text()) if requests.exists() else {}
    return Cost(sum(seen.values()), wall, peak, counts)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def command(way: str, trials: int, folder: Path) -> list[str]:
    """The command line of one way."""
    if way.startswith("bare"):
        script = folder / "bare.py"
        script.write_text(BARE)
        return [sys.executable, str(script), way.split()[-1], str(trials), str(folder / "tune"), str(EPOCHS)]
    study = {
        "study": "bench/overhead",
        "kind": "sweep",
        "trainable": "toy",
        "detector": "toy",
        "dataset": "toy",
        "protocol": "toy",
        "set": {"detector.epochs": EPOCHS},
        "space": {"detector.x": "auto", "detector.y": "auto"},
        "budget": {"trials": trials},
        "sampler": "random",
        "resources": {"workers": 1 if way.endswith("worker") else 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    script = folder / "counted.py"
    script.write_text(COUNTED)
    words = ["run", str(folder / "study.yaml"), "--storage", str(folder / "runs"), "--data", str(folder / "data")]
    return [sys.executable, str(script), *words]


def short_and_long(way: str, few: int, many: int) -> tuple[Cost, Cost]:
    """Cost of a short and of a long study."""
    costs = []
    for trials in (few, many):
        with tempfile.TemporaryDirectory() as scratch:
            costs.append(measure(command(way, trials, Path(scratch)), Path(scratch)))
    return costs[0], costs[1]


def main() -> None:
    """Measure every way and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=44)
    parser.add_argument("--workers-trials", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{EPOCHS} reports a trial, {os.cpu_count()} CPUs; per trial = (long - short) / difference in trials")
    header = f"{'way':30} {'CPU s':>8} {'wall s':>8} {'peak MiB':>9} {'requests':>9} {'log_batch':>10}"
    print(header + "\n" + "-" * len(header))
    for way in ("bare function", "bare reused", "tadtune in process", "tadtune one Ray Train worker"):
        few, many = (1, arguments.workers_trials) if way.endswith("worker") else (4, arguments.trials)
        short, long = short_and_long(way, few, many)
        n = many - few
        sent = {k: long.requests.get(k, 0) - short.requests.get(k, 0) for k in long.requests}
        print(
            f"{way:30} {(long.cpu_s - short.cpu_s) / n:8.3f} {(long.wall_s - short.wall_s) / n:8.3f} "
            f"{long.peak_mib:9.0f} {sum(sent.values()) / n:9.1f} {sent.get('log_batch', 0) / n:10.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
