"""A trial as a plain Tune trainable in a reused actor: no process start per trial, no nested Ray Train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ray
from ray import tune

from tadtune.run.job import Job
from tadtune.run.loop import Place, run_trial


class InProcessTrial(tune.Trainable):  # type: ignore[misc, unused-ignore]
    """One step = one report of :func:`tadtune.run.loop.run_trial`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare a trial; nothing of an earlier one in this process is kept."""
        job = Job(**config["job"])
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        place = Place(device=device, num_threads=max(1, int(job.cpus)))
        self._steps: Iterator[dict[str, Any]] = run_trial(job, place)

    def step(self) -> dict[str, Any]:
        """Train until the next report."""
        return next(self._steps)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take over another trial: seeds are set anew and all state is rebuilt."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Drop what the last trial held."""
        self._steps = iter(())

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """The record holds the checkpoint; Tune needs none."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """The record holds the checkpoint; Tune needs none."""
