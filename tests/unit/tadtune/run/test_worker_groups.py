"""The placement group of a trial is removed once, when the trial has ended, whichever way."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import ray.util
from ray.util.placement_group import PlacementGroup, PlacementGroupID

from tadtune.run.worker_groups import GROUP, WorkerGroups, own_group


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(ray.util, "remove_placement_group", lambda group: found.append(group.id.hex()))
    return found


def report(groups: WorkerGroups, trial: str, **result: Any) -> None:
    groups.on_trial_result(1, [], SimpleNamespace(trial_id=trial), {"epoch": 1, **result})


def test_every_trial_gives_back_its_own_group_at_its_end(removed: list[str]) -> None:
    groups = WorkerGroups()
    names = {trial: PlacementGroupID.from_random().hex() for trial in ("stopped", "failed", "running")}
    for trial, name in names.items():
        for _ in range(3):
            report(groups, trial, **{GROUP: name})
    assert removed == []
    groups.on_trial_complete(1, [], SimpleNamespace(trial_id="stopped"))
    assert removed == [names["stopped"]]
    groups.on_trial_error(1, [], SimpleNamespace(trial_id="failed"))
    assert removed == [names["stopped"], names["failed"]]
    groups.on_trial_complete(1, [], SimpleNamespace(trial_id="stopped"))  # once is enough
    assert removed == [names["stopped"], names["failed"]]


def test_a_trial_without_a_group_or_without_a_report_is_left_alone(removed: list[str]) -> None:
    groups = WorkerGroups()
    report(groups, "in process")
    for end in (groups.on_trial_complete, groups.on_trial_error):
        for trial in ("in process", "never reported"):
            end(1, [], SimpleNamespace(trial_id=trial))
    assert removed == []


def test_a_process_in_a_group_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    group = PlacementGroup(PlacementGroupID.from_random())
    monkeypatch.setattr(ray.util, "get_current_placement_group", lambda: group)
    assert own_group() == {GROUP: group.id.hex()}
    monkeypatch.setattr(ray.util, "get_current_placement_group", lambda: None)
    assert own_group() == {}


def test_tune_may_save_it_with_its_own_state(removed: list[str]) -> None:
    groups = WorkerGroups()
    report(groups, "a", **{GROUP: PlacementGroupID.from_random().hex()})
    assert pickle.loads(pickle.dumps(groups)).__dict__ == {}
