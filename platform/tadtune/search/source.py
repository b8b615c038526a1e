"""Where trials come from: one interface for ablations (a list) and sweeps (Optuna)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tadtune.plan.trial import Trial
from tadtune.track.record import Result


class TrialSource(Protocol):
    """Decides; the control loop acts."""

    def next(self) -> Trial | None:
        """The next trial to run, or None when there is none left."""
        ...

    def should_stop(self, trial_id: str, epoch: int, value: float) -> bool:
        """Take an intermediate value of the metric on ``select``; whether to stop the trial early."""
        ...

    def ended(self, trial_id: str, result: Result) -> None:
        """Take the end of a trial."""
        ...

    def total(self) -> int:
        """Number of trials of the study when it is done, finished ones included."""
        ...


class ListSource:
    """Trials of an ablation that are not done yet, in order.

    Args:
        todo: trials to run.
        total: trials of the study, finished ones included.
    """

    def __init__(self, todo: Iterable[Trial], total: int) -> None:
        self._todo = list(todo)
        self._total = total

    def next(self) -> Trial | None:
        """The next trial of the list."""
        return self._todo.pop(0) if self._todo else None

    def should_stop(self, trial_id: str, epoch: int, value: float) -> bool:
        """Rows of an ablation always run to their end."""
        return False

    def ended(self, trial_id: str, result: Result) -> None:
        """Nothing is learnt from a row."""

    def total(self) -> int:
        """Distinct trials of the ablation."""
        return self._total
