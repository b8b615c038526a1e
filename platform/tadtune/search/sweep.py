"""The sweep's source of trials: one Optuna study, asked and told by the driver only.

The records of trials are the truth; the Optuna study is brought in line with them whenever it is opened, so that no
trial stays RUNNING, no finished result is lost to the sampler, and an interrupted trial is the next one suggested.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from tadtune.plan.trial import Trial, digest, make_trial
from tadtune.search.journal import DriverJournal
from tadtune.search.optuna_parts import (
    direction,
    distribution,
    make_pruner,
    make_sampler,
    start_point,
    suggest,
)
from tadtune.spec.combination import build_configs
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Study, Sweep
from tadtune.track.record import Result
from tadtune.track.study_folder import StudyFolder

_MAX_REPEATS = 100
_TRIAL_ID = "trial_id"


class SweepSource:
    """Trials that Optuna suggests.

    Args:
        study: a sweep.
        folder: its folder.
        deadline: ``time.monotonic()`` after which nothing new is suggested; running trials finish.
    """

    def __init__(self, study: Study, folder: StudyFolder, deadline: float | None = None) -> None:
        assert study.sweep is not None, "a sweep"
        self._study = study
        self._sweep: Sweep = study.sweep
        self._folder = folder
        self._start = build_configs(study.parts, study.values).plain()
        self._running: dict[str, optuna.trial.Trial] = {}
        self._counted: set[str] = set()
        self._deadline = deadline
        self._optuna = self._open()
        self._reconcile()

    def _open(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._folder.path.mkdir(parents=True, exist_ok=True)
        space = {p.path: p.plain() for p in self._sweep.space}
        name = f"{self._study.name} {digest([space, self._study.metric.name, self._study.metric.mode])[:12]}"
        self._journal = DriverJournal(self._folder.journal)
        study = optuna.create_study(
            storage=JournalStorage(self._journal),
            study_name=name,
            direction=direction(self._study.metric),
            pruner=make_pruner(self._sweep.pruner),
            load_if_exists=True,
        )
        # a resumed sampler goes on drawing: with the same seed it would suggest its first points once more
        drawn = len(study.get_trials(deepcopy=False))
        seed = (self._sweep.seed + 1_000_003 * drawn) % 2**32  # NumPy takes no larger one
        study.sampler = make_sampler(self._sweep.sampler, self._sweep.space, seed)
        return study

    def _reconcile(self) -> None:
        """Bring the Optuna study in line with the records."""
        if not self._optuna.get_trials(deepcopy=False):
            self._optuna.enqueue_trial(start_point(self._sweep.space, self._start))
        known: set[str] = set()
        again: list[dict[str, Any]] = []
        for trial in self._optuna.get_trials(deepcopy=False):
            trial_id = trial.user_attrs.get(_TRIAL_ID)
            result = None if trial_id is None else self._folder.record(trial_id).result()
            done = result is not None and result.status != "failed"
            if done and trial.state != TrialState.FAIL:  # a failed one that was repeated since is news to Optuna
                known.add(trial_id)
            if trial.state == TrialState.RUNNING:
                self._tell(trial.number, result or Result("failed"))
            if trial_id is not None and not done and trial.state in (TrialState.RUNNING, TrialState.FAIL):
                again.append(dict(trial.params))
        self._counted = set(known)
        self._add_unknown(known)
        waiting = [t.system_attrs.get("fixed_params") for t in self._optuna.get_trials(states=(TrialState.WAITING,))]
        for params in again:
            if params not in waiting:
                self._optuna.enqueue_trial(params)
                waiting.append(params)

    def _add_unknown(self, known: set[str]) -> None:
        """Tell Optuna about records it has never heard of (its journal was lost, or they were adopted)."""
        distributions = {p.path: distribution(p) for p in self._sweep.space}
        with self._journal.one_write():
            for trial_id, record in self._folder.records().items():
                if trial_id in known:
                    continue
                result, trial = record.result(), record.trial()
                if result is None or result.status == "failed" or trial is None:
                    continue
                params = start_point(self._sweep.space, trial.config)
                self._optuna.add_trial(
                    optuna.trial.create_trial(
                        state=_STATES[result.status],
                        value=result.objective,
                        params=params,
                        distributions={path: distributions[path] for path in params},
                        user_attrs={_TRIAL_ID: trial_id},
                    )
                )
                self._counted.add(trial_id)

    def next(self) -> Trial | None:
        """Ask Optuna; what is finished already, or breaks a rule between fields, is told at once and asked past.

        Raises:
            StudyError: every one of many suggestions breaks a rule.
        """
        refused: list[StudyError] = []
        for _ in range(_MAX_REPEATS):
            late = self._deadline is not None and time.monotonic() > self._deadline
            if late or len(self._counted) >= self._sweep.budget.trials:
                return None
            asked = self._optuna.ask()
            values = suggest(asked, self._sweep.space, self._start)
            try:
                trial = make_trial(self._study, self._study.parts, {**self._study.values, **values}, self._sweep.seed)
            except StudyError as error:
                refused.append(error)
                self._optuna.tell(asked, state=TrialState.FAIL)
                continue
            asked.set_user_attr(_TRIAL_ID, trial.id)
            if trial.id in self._running:
                self._optuna.tell(asked, state=TrialState.FAIL)
                continue
            self._folder.adopt(trial.id)
            result = self._folder.record(trial.id).result()
            self._counted.add(trial.id)
            if result is not None and result.status != "failed":
                self._tell(asked.number, result)
                continue
            self._running[trial.id] = asked
            return trial
        if len(refused) == _MAX_REPEATS:
            hint = f"space: {_MAX_REPEATS} suggestions in a row break this rule; choose ranges that mostly keep it."
            raise StudyError([*refused[-1].lines, hint])
        return None  # every suggestion is known already: the space is exhausted

    def should_stop(self, trial_id: str, epoch: int, value: float) -> bool:
        """Ask the pruner, whose memory is the same storage."""
        trial = self._running.get(trial_id)
        if trial is None or not math.isfinite(value):
            return False
        trial.report(value, epoch)
        return bool(trial.should_prune())

    def ended(self, trial_id: str, result: Result) -> None:
        """Tell Optuna the state the trial really ended in."""
        trial = self._running.pop(trial_id, None)
        if trial is not None:
            self._tell(trial.number, result)

    def _tell(self, number: int, result: Result) -> None:
        state = _STATES[result.status]
        if state == TrialState.COMPLETE and (result.objective is None or not math.isfinite(result.objective)):
            raise StudyError([f"a complete trial without a finite objective: {result.objective!r}"])
        self._optuna.tell(number, result.objective if state == TrialState.COMPLETE else None, state=state)

    def total(self) -> int:
        """Trials of the budget."""
        return self._sweep.budget.trials

    def states(self) -> Mapping[str, int]:
        """Number of Optuna's trials by state, for tests and reports."""
        counts: dict[str, int] = {}
        for trial in self._optuna.get_trials(deepcopy=False):
            counts[trial.state.name] = counts.get(trial.state.name, 0) + 1
        return counts


_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
