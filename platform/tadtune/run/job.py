"""What a worker needs to know to run one trial: JSON-able, shipped through Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One trial and where its things are.

    Attributes:
        trial_id: the trial's identity.
        trial: :meth:`tadtune.plan.trial.Trial.plain`.
        record: folder of its record.
        data_root: folder of data sets.
        metric: metric to optimise, without the split.
        mode: "max" or "min".
        report_every: epochs between reports.
        data_digest: hash of the data the study was planned with.
        data_remarks: what a report has to say about them.
        cpus: per process.
        gpus: per process.
        workers: Ray Train workers, 0 = in process.
        attempt: number of this attempt at the trial, from 1.
        store: address of the record in an object store, where the folder is out of the trial's reach; "" = it is not.
        timeout_s: seconds that the trial may take, all attempts together; None = no limit.
    """

    trial_id: str
    trial: Mapping[str, Any]
    record: str
    data_root: str
    metric: str
    mode: str
    report_every: int
    data_digest: str
    data_remarks: Sequence[str]
    cpus: float
    gpus: float
    workers: int
    attempt: int = 1
    timeout_s: float | None = None
    store: str = ""

    def plain(self) -> dict[str, Any]:
        """As a dictionary, for Tune's config."""
        return asdict(self)

    @property
    def record_folder(self) -> Path:
        """Folder of the record."""
        return Path(self.record)
