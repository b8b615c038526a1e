"""Which job runs which study: ids that follow from the study and its storage, never drawn at random."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tadtune.plan.trial import digest

#: Metadata by which this platform's jobs are told from others.
STUDY = "tadtune.study"
RUN = "tadtune.run"
CONTENT = "tadtune.content"
FOLDER = "tadtune.folder"

#: States of a Ray job that has ended.
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class JobState:
    """What the cluster says about a job.

    Attributes:
        id: submission id.
        status: PENDING, RUNNING, or one of ``ENDED``.
        metadata: as submitted.
        started_ms: Unix time in milliseconds, None before the cluster noted it.
        exit_code: of the driver; None while it runs, and where there never was a driver.
        message: the cluster's words.
    """

    id: str
    status: str
    metadata: Mapping[str, str]
    started_ms: int | None = None
    exit_code: int | None = None
    message: str = ""

    @property
    def ended(self) -> bool:
        """Nothing of it runs any more."""
        return self.status in ENDED

    def shell_code(self) -> int:
        """The outcome as an exit code: 0, the driver's own, 128 + signal, 130 when stopped, 1 without a driver."""
        if self.status == "SUCCEEDED":
            return 0
        if self.status == "STOPPED":
            return 130
        if not self.exit_code:
            return 1
        return self.exit_code if self.exit_code > 0 else 128 - self.exit_code


def run_key(study: str, folder: str) -> str:
    """Identity of a study's run: the same study in the same folder is the same run, whatever launches it."""
    return digest({"study": study, "folder": folder})[:8]


def job_metadata(study: str, folder: str, content: str) -> dict[str, str]:
    """What a job carries: the study, its run, what tells one launch from a changed one, the folder of the records."""
    return {STUDY: study, RUN: run_key(study, folder), CONTENT: content, FOLDER: folder}


def launches(jobs: Iterable[JobState], run: str) -> list[JobState]:
    """Jobs of a run, oldest first."""
    return sorted((job for job in jobs if job.metadata.get(RUN) == run), key=_number)


def next_id(slug: str, run: str, earlier: Iterable[JobState]) -> str:
    """Submission id of the next launch: ``<study>-<run>-<n>``; a stopped or finished job keeps its own."""
    return f"{slug}-{run}-{1 + max(map(_number, earlier), default=0)}"


def ours(jobs: Iterable[JobState]) -> list[JobState]:
    """Jobs of this platform, latest start first."""
    return sorted((job for job in jobs if RUN in job.metadata), key=lambda job: -(job.started_ms or 0))


def _number(job: JobState) -> int:
    found = re.search(r"-(\d+)$", job.id)
    return int(found.group(1)) if found else 0
