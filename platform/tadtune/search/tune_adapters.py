"""A trial source as Ray Tune's search algorithm and scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tadtune.plan.trial import Trial
from tadtune.search.source import TrialSource
from tadtune.track.faults import Attempt, Kind, may_retry
from tadtune.track.record import Report, Result, TrialRecord, attempt_of_death
from tadtune.track.study_folder import StudyFolder


class _Unsaved:
    """Tune pickles what drives a run so that it can restore it; ours is rebuilt from the records instead."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SourceSearcher(_Unsaved, Searcher):  # type: ignore[misc, unused-ignore]
    """Asks the source for trials and tells it how they ended.

    Args:
        source: where trials come from.
        folder: of the study, whose records say how a trial ended.
        make_config: trial -> what the Tune trainable gets.
        on_end: called with the id and result of every trial that ended.
        stopping: whether the user asked to stop: an unfinished trial then stays unfinished.
    """

    def __init__(
        self,
        source: TrialSource,
        folder: StudyFolder,
        make_config: Callable[[Trial], dict[str, Any]],
        on_end: Callable[[str, Result], None],
        stopping: Callable[[], bool],
    ) -> None:
        super().__init__(metric=None, mode=None)
        self._stopping = stopping
        self._source = source
        self._folder = folder
        self._make_config = make_config
        self._on_end = on_end
        self._running: dict[str, tuple[Trial, int]] = {}
        self._ends: dict[str, list[Kind]] = {}
        self._again: list[Trial] = []
        self.pruned: set[str] = set()
        self.deaths: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """Configuration of the next trial, None while only running ones may bring more, or that there is none."""
        if self._stopping():
            return Searcher.FINISHED
        trial = self._again.pop(0) if self._again else self._source.next()
        if trial is None:
            return None if self._running else Searcher.FINISHED
        config = self._make_config(trial)
        self._running[trial_id] = (trial, int(config["job"]["attempt"]))
        return config

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Make sure the record says how the trial ended, and tell the source; or start the trial again."""
        trial, number = self._running.pop(trial_id, (None, 0))
        if trial is None or (self._stopping() and self._folder.record(trial.id).result() is None):
            return
        record = self._folder.record(trial.id)
        self._folder.refresh(trial.id, self._stopping)
        outcome = record.result()
        if outcome is None and trial.id in self.pruned:
            outcome = _pruned(record)
        if outcome is None:
            attempt = self._attempt(record, trial.id, number)
            earlier = self._ends.setdefault(trial.id, [])
            if may_retry(attempt.kind, earlier):
                earlier.append(attempt.kind)
                self._folder.publish(trial.id)
                self._again.append(trial)  # it goes on from its last checkpoint
                return
            outcome = record.fail(attempt)
        self._folder.publish(trial.id)  # before the sampler hears of it
        self._source.ended(trial.id, outcome)
        self._on_end(trial.id, outcome)

    def _attempt(self, record: TrialRecord, own_id: str, number: int) -> Attempt:
        """How the attempt that just ended did so: as its process wrote, else as Ray says."""
        record.note(attempt_of_death(record, number, self.deaths.pop(own_id, "")))
        return next(attempt for attempt in record.attempts() if attempt.number == number)

    def save(self, checkpoint_path: str) -> None:
        """Tune's own state is not used: the records and the sampler's storage are."""

    def restore(self, checkpoint_path: str) -> None:
        """Tune's own state is not used: the records and the sampler's storage are."""


def _pruned(record: TrialRecord) -> Result:
    """Write the result of a trial that a policy stopped."""
    reports = record.reports()
    last = reports[-1] if reports else Report(0, 0.0, {}, 0.0)
    outcome = Result("pruned", metrics=last.metrics, epochs=last.epoch, seconds=last.seconds, finished_at=time.time())
    record.finish(outcome)
    return outcome


class SourceScheduler(_Unsaved, FIFOScheduler):  # type: ignore[misc, unused-ignore]
    """Stops trials early where the source says so.

    Args:
        searcher: of the same run.
        source: where trials come from.
        metric: name of the reported value on ``select``.
    """

    def __init__(self, searcher: SourceSearcher, source: TrialSource, metric: str) -> None:
        super().__init__()
        self._searcher = searcher
        self._source = source
        self._reported = metric  # Tune would demand a `_metric` in every report, failures included

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Continue or stop."""
        own_id = trial.config["trial_id"]
        value = result.get(self._reported)
        last = result.get("epoch", 0) >= result.get("num_epochs", 0)
        if value is not None and not last and self._source.should_stop(own_id, int(result["epoch"]), float(value)):
            self._searcher.pruned.add(own_id)
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep what Ray says of a process that died, for the searcher, who is asked next."""
        text = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
        self._searcher.deaths[trial.config["trial_id"]] = text.rpartition("Failure #")[2]


class ReportListener(_Unsaved, tune.Callback):  # type: ignore[misc, unused-ignore]
    """Passes every report of a trial on.

    Args:
        on_report: called with the trial's id and its report.
    """

    def __init__(self, on_report: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._on_report = on_report

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any) -> None:
        """Called by Tune."""
        self._on_report(trial.config["trial_id"], result)


class EventStopper(_Unsaved, tune.Stopper):  # type: ignore[misc, unused-ignore]
    """Ends a run when somebody asked for it.

    Args:
        stopping: whether somebody did.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """No single trial is stopped."""
        return False

    def stop_all(self) -> bool:
        """Asked by Tune in every turn of its loop."""
        return self._stopping()
