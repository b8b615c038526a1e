"""The table of ``tadtune jobs list``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.table import Table

from tadtune.jobs.identity import FOLDER, STUDY, JobState, ours


def jobs_table(jobs: Sequence[JobState]) -> Table:
    """Jobs of this platform, latest first; other people's jobs on the cluster are counted, not shown."""
    shown = ours(jobs)
    others = len(jobs) - len(shown)
    caption = f"{others} other job(s) on this cluster are not tadtune's" if others else None
    table = Table("job", "study", "state", "started", "records on the cluster", box=None, caption=caption)
    table.caption_justify = "left"
    for job in shown:
        table.add_row(job.id, job.metadata[STUDY], job.status.lower(), _local(job.started_ms), job.metadata[FOLDER])
    if not shown:
        table.add_row("none; `tadtune submit` starts one")
    return table


def _local(time_ms: int | None) -> str:
    """Time on this machine's clock."""
    return "" if time_ms is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1000))
