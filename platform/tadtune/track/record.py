"""The record of a trial: one folder that holds everything known about it.

::

    trial.json            configuration, seed, hashes, versions, host        written before training
    metrics.jsonl         one line a report, also the spool of the tracker   appended
    checkpoint.pt         weights and optimiser, ``weights_only=True``       replaced in one step
    artifacts/            raw outputs, detections, matches                   written by the trainable at its end
    result.json           status, metrics, objective                         written last: its presence = finished
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tadtune.plan.trial import Trial, trial_from_plain
from tadtune.track.files import append_line, read_json, read_lines, write_json

Status = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        status: "complete", "pruned" (a policy stopped it) or "failed" (its own code raised).
        metrics: name -> value, ``select/...``, ``test/...`` and their tuned variants; fractions, not percent.
        objective: what the outer study sees, None unless complete or pruned.
        epochs: trained.
        seconds: of the trial's process, all attempts together.
        finished_at: Unix time.
        inference: tuned inference values, full field path -> value ({} = nothing was tuned).
        error: traceback of a failed trial.
    """

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    objective: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    finished_at: float = 0.0
    inference: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


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

    def forget_failure(self) -> None:
        """Let a failed trial run again, from its last checkpoint."""
        result = self.result()
        if result is not None and result.status == "failed":
            (self.folder / "result.json").unlink()
