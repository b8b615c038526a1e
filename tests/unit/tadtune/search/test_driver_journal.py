"""The journal of the sampler's storage: one write for many entries, and no entry torn by a kill."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tadtune.search.journal import DriverJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "optuna.journal"


def study(journal: JournalFileBackend) -> optuna.Study:
    return optuna.create_study(storage=JournalStorage(journal), study_name="s", load_if_exists=True)


def trial(value: float) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(
        value=value, params={"x": value}, distributions={"x": optuna.distributions.FloatDistribution(0.0, 1.0)}
    )


def values(journal: JournalFileBackend) -> list[float | None]:
    return [t.value for t in study(journal).trials]


def test_many_trials_are_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    journal = DriverJournal(path)
    optuna_study = study(journal)
    flushed.clear()
    with journal.one_write():
        for number in range(50):
            optuna_study.add_trial(trial(number / 50))
    assert len(flushed) == 1
    expected = [number / 50 for number in range(50)]
    assert [t.value for t in optuna_study.trials] == expected
    assert values(JournalFileBackend(str(path))) == expected
    optuna_study.add_trial(trial(1.0))  # and on as before
    assert [t.value for t in optuna_study.trials] == values(DriverJournal(path)) == [*expected, 1.0]


def test_an_exception_loses_nothing_that_was_added(path: Path) -> None:
    journal = DriverJournal(path)
    optuna_study = study(journal)
    with pytest.raises(KeyError), journal.one_write():
        optuna_study.add_trial(trial(0.5))
        raise KeyError
    optuna_study.add_trial(trial(0.75))
    assert [t.value for t in optuna_study.trials] == values(DriverJournal(path)) == [0.5, 0.75]


@pytest.mark.parametrize("left", [1, 20, -1])
def test_a_torn_line_is_cut_off(path: Path, left: int) -> None:
    optuna_study = study(DriverJournal(path))
    optuna_study.add_trial(trial(0.25))
    whole = path.read_bytes()
    optuna_study.add_trial(trial(0.5))
    last = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + last[:left])
    study(DriverJournal(path)).add_trial(trial(0.75))
    assert values(DriverJournal(path)) == [0.25, 0.75]


def test_without_the_cut_the_file_would_be_lost(path: Path) -> None:
    """Why the journal is not simply Optuna's own."""
    optuna_study = study(JournalFileBackend(str(path)))
    optuna_study.add_trial(trial(0.25))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError):
        for value in (0.5, 0.75):
            study(JournalFileBackend(str(path))).add_trial(trial(value))
