"""The record of a trial: one folder that holds everything known about it.

::

    trial.json            configuration, seed, hashes, versions, host        written before training
    metrics.jsonl         one line a report, also the spool of the tracker   appended
    checkpoint.pt         weights and optimiser, ``weights_only=True``       replaced in one step
    attempts/             one file an attempt that ended without a result    written once each
    limit.json            when the attempt's time is over, where this folder is a copy
    timeout.txt           where an attempt was when its time was over        written by the interpreter's watchdog
    artifacts/            raw outputs, detections, matches                   written by the trainable at its end
    result.json           status, metrics, objective                         written last: its presence = finished
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tadtune.plan.trial import Trial, trial_from_plain
from tadtune.track.faults import WORDS, Attempt, Kind, kind_of_death, last_line
from tadtune.track.files import append_line, create_json, read_json, read_lines, write_json

Status = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        status: "complete", "pruned" (a policy stopped it) or "failed".
        metrics: name -> value, ``select/...``, ``test/...`` and their tuned variants; fractions, not percent.
        objective: what the outer study sees, None unless complete or pruned.
        epochs: trained.
        seconds: of the trial's process, all attempts together.
        finished_at: Unix time.
        inference: tuned inference values, full field path -> value ({} = nothing was tuned).
        error: traceback of a failed trial.
        kind: why it failed, one of :data:`tadtune.track.faults.Kind`; "" unless failed.
        attempts: attempts that a failed trial took, all launches together.
    """

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    objective: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    finished_at: float = 0.0
    inference: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    kind: Kind | Literal[""] = ""
    attempts: int = 0


@dataclass(frozen=True)
class Report:
    """One line of a trial's history.

    Attributes:
        epoch: epochs trained so far.
        time: Unix time, also the time stamp in MLflow.
        metrics: name -> value.
        seconds: of the trial's process so far, all attempts together.
    """

    epoch: int
    time: float
    metrics: Mapping[str, float]
    seconds: float


def attempt_of_death(record: TrialRecord, number: int, text: str) -> Attempt:
    """An attempt whose process could not say itself why it ended.

    Args:
        record: of the trial.
        number: of the attempt.
        text: what Ray says of the process.
    """
    traceback = record.timeout.read_text(encoding="utf-8") if record.timeout.is_file() else ""
    traceback = traceback or record.overran(number)
    kind: Kind = "timeout" if traceback else kind_of_death(text)
    reason = f"{WORDS[kind]}: {last_line(text) or 'Ray gives no reason'}"
    if kind == "timeout":
        reason = f"{WORDS[kind]} (resources.timeout); it goes on from its last checkpoint with a larger limit"
    return Attempt(number, kind, reason, time.time(), socket.gethostname(), traceback or text)


class TrialRecord:
    """The folder of one trial.

    Args:
        folder: where it is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def checkpoint(self) -> Path:
        """Where the trainable keeps its checkpoint."""
        return self.folder / "checkpoint.pt"

    @property
    def artifacts(self) -> Path:
        """Where the trainable writes what it leaves behind."""
        return self.folder / "artifacts"

    @property
    def timeout(self) -> Path:
        """Where the watchdog writes what a trial was doing when its time was over."""
        return self.folder / "timeout.txt"

    def publish(self, *, final: bool = False) -> None:
        """Let others see what was written; nothing is to be done where they look into the same folder.

        Args:
            final: nothing more will be written by this process.
        """

    def announce_limit(self, attempt: int, seconds: float) -> None:
        """Say when an attempt will be ended; the watchdog's file says it where others look into the same folder.

        Args:
            attempt: its number.
            seconds: from now.
        """

    def overran(self, attempt: int) -> str:
        """Where the watchdog's file of an attempt is whose time is over, "" for another attempt or before that."""
        content = read_json(self.folder / "limit.json")
        over = content is not None and content["attempt"] == attempt and time.time() >= content["ends_at"]
        return f"what every thread was doing is in {content['file']}" if over else ""

    def start(self, trial: Trial, provenance: Mapping[str, Any]) -> None:
        """Write ``trial.json`` unless an earlier attempt did."""
        if not (self.folder / "trial.json").is_file():
            write_json(self.folder / "trial.json", {"trial": trial.plain(), "provenance": dict(provenance)})

    def trial(self) -> Trial | None:
        """The trial, or None before it started."""
        content = read_json(self.folder / "trial.json")
        return None if content is None else trial_from_plain(content["trial"])

    def provenance(self) -> dict[str, Any]:
        """Hashes, versions and host of the first attempt."""
        content = read_json(self.folder / "trial.json")
        return {} if content is None else dict(content["provenance"])

    def append(self, report: Report) -> None:
        """Add a report; one for an epoch already there (repeated after a restart) is left out."""
        reports = self.reports()
        if not reports or report.epoch > reports[-1].epoch:
            append_line(self.folder / "metrics.jsonl", asdict(report))

    def reports(self) -> list[Report]:
        """History, in order of epochs."""
        return [Report(**line) for line in read_lines(self.folder / "metrics.jsonl")]

    def finish(self, result: Result) -> None:
        """Write the result: from here on the trial is never run again (unless it failed)."""
        write_json(self.folder / "result.json", asdict(result))

    def result(self) -> Result | None:
        """How it ended, or None while it has not."""
        content = read_json(self.folder / "result.json")
        return None if content is None else Result(**content)

    def attempts(self) -> list[Attempt]:
        """Attempts that ended without a result, in order."""
        found = [read_json(path) for path in (self.folder / "attempts").glob("[0-9]*.json")]
        return sorted((Attempt(**content) for content in found), key=lambda attempt: attempt.number)

    def note(self, attempt: Attempt) -> bool:
        """Keep how an attempt ended; the first of a group's processes to say so has the word.

        Returns:
            Whether it was the first.
        """
        return create_json(self.folder / "attempts" / f"{attempt.number:03}.json", asdict(attempt))

    def fail(self, attempt: Attempt) -> Result:
        """Write the result of a trial that will not be tried again in this launch."""
        reports = self.reports()
        result = Result(
            "failed",
            epochs=reports[-1].epoch if reports else 0,
            seconds=reports[-1].seconds if reports else 0.0,
            finished_at=attempt.ended_at,
            error=attempt.error if attempt.reason in last_line(attempt.error) else f"{attempt.error}\n{attempt.reason}",
            kind=attempt.kind,
            attempts=attempt.number,
        )
        self.finish(result)
        return result

    def drop_checkpoint(self) -> bool:
        """Remove the checkpoint of a trial that has ended; whether there was one."""
        there = self.checkpoint.is_file()
        self.checkpoint.unlink(missing_ok=True)
        return there

    def forget_failure(self) -> bool:
        """Let a failed trial run again, from its last checkpoint; whether it had failed."""
        result = self.result()
        failed = result is not None and result.status == "failed"
        if failed:
            (self.folder / "result.json").unlink()
        return failed
