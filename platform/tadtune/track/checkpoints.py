"""Which checkpoints of a sweep are kept: a budget for all of its trials together."""

from __future__ import annotations


class CheckpointBudget:
    """Decides as trials end; trials that failed or are under way are not its business and keep theirs.

    Args:
        keep: checkpoints of the best trials; that of the trial that ended last is kept beside them.
        sign: +1 where a larger objective is better, -1 where a smaller one is.
    """

    def __init__(self, keep: int, sign: int) -> None:
        self._keep, self._sign = keep, sign
        self._best: list[tuple[float, str]] = []
        self._last: str | None = None

    def ended(self, trial_id: str, objective: float | None) -> list[str]:
        """Take the end of a trial.

        Args:
            trial_id: of the trial.
            objective: None where a policy stopped it.

        Returns:
            Trials whose checkpoints are no longer kept.
        """
        before, self._last = self._last, trial_id
        dropped = [before] if before is not None and before not in {i for _, i in self._best} else []
        if objective is not None:
            self._best.append((self._sign * objective, trial_id))
            self._best.sort(key=lambda pair: -pair[0])  # stable: of equal ones the earlier stays
            dropped += [i for _, i in self._best[self._keep :] if i != self._last]
            del self._best[self._keep :]
        return dropped
