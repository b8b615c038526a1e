"""A trial as the engine hands it to the process that runs it."""

from __future__ import annotations

from pathlib import Path

from tadtune.plan.trial import Trial
from tadtune.run.job import Job


def toy_job(trial: Trial, folder: Path) -> Job:
    """For one process, with the trial's record below a folder."""
    return Job(
        trial_id=trial.id,
        trial=trial.plain(),
        record=str(folder / trial.id),
        data_root=str(folder),
        metric="avg_map",
        mode="max",
        report_every=1,
        data_digest="d",
        data_remarks=("2 videos left out",),
        cpus=1,
        gpus=0,
        workers=0,
    )
