"""Stopping a job so that it can be resumed, and saying what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from tadtune.jobs.identity import FOLDER, STUDY, JobState
from tadtune.jobs.submit import STOP_ENVIRONMENT
from tadtune.spec.errors import StudyError

#: Seconds a stop may take: what the job was given, and Ray's own notice of its end.
STOP_S = float(STOP_ENVIRONMENT["RAY_JOB_STOP_WAIT_TIME_S"]) + 30.0
#: Last lines of the log that are shown.
_SHOWN = 4


class Stoppable(Protocol):
    """What stopping asks of a cluster; :class:`tadtune.jobs.cluster.Cluster` is one."""

    def state(self, job_id: str) -> JobState:
        """What has become of a job."""

    def stop(self, job_id: str) -> None:
        """Ask it to stop."""

    def log(self, job_id: str) -> str:
        """The whole log."""


def stop_job(
    board: Stoppable, job_id: str, say: Callable[[str], object], *, timeout_s: float = STOP_S, poll_s: float = 0.5
) -> JobState:
    """Stop a job, wait for its end and say what can be resumed.

    A pending job has no driver yet that could hear the signal, so the stop is asked for again until the job ends.

    Raises:
        StudyError: there is no such job, or it has not ended within ``timeout_s``.
    """
    state = board.state(job_id)
    if state.ended:
        say(f"{job_id}: has ended already ({state.status}).")
        return state
    deadline = time.monotonic() + timeout_s
    board.stop(job_id)
    while not (state := board.state(job_id)).ended:
        if time.monotonic() > deadline:
            raise StudyError([f"{job_id}: {state.status} {timeout_s:.0f} s after it was asked to stop; try again."])
        if state.status == "PENDING":
            board.stop(job_id)
        time.sleep(poll_s)
    for line in [line for line in board.log(job_id).splitlines() if line.strip()][-_SHOWN:]:
        say(f"  {line}")
    say(f"{job_id}: {state.status}.")
    if state.status == "STOPPED":
        say(
            f"Finished trials and checkpoints are in {state.metadata.get(FOLDER, 'its storage')} on the cluster; "
            f"`tadtune submit` of {state.metadata.get(STUDY, 'the study')} with the same options resumes."
        )
    return state
