"""A folder and its place in a store: each change carried once, in an order that a cut at any moment survives."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import Switch, contents, make_store

from tadtune.track.object_store.mirror import Mirror


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(path.name.replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def test_what_changed_is_carried_and_nothing_else(here: Path, there: Path) -> None:
    switch = Switch()
    mirror = Mirror(here, make_store(there, switch))
    _write(here, trial_json="1", artifacts__a_json="2")
    assert mirror.push() == 2
    assert contents(there) == {"trial.json": b"1", "artifacts/a.json": b"2"}
    switch.asked.clear()
    assert mirror.push() == 0
    assert switch.asked == []
    _write(here, trial_json="3")
    assert mirror.push() == 1
    assert contents(there)["trial.json"] == b"3"
    assert Mirror(here, make_store(there)).push() == 0  # the next process knows as much


def test_this_machines_own_files_stay(here: Path, there: Path) -> None:
    _write(here, mlflow_json="{}", driver_lock="", checkpoint_pt="", tune__state_json="x", trial_json="1")
    (here / ".scratch").write_text("x")
    (here / "optuna.journal.lock").write_text("x")
    assert Mirror(here, make_store(there), skip=("tune",)).push() == 1
    assert list(contents(there)) == ["trial.json"]


def test_the_result_is_carried_last(here: Path, there: Path) -> None:
    _write(here, result_json="{}", trial_json="{}", zz_json="{}", artifacts__a_json="{}")
    for requests in range(40):
        shutil.rmtree(there, ignore_errors=True)
        switch = Switch()
        (here / ".mirror.json").unlink(missing_ok=True)
        mirror = Mirror(here, make_store(there, switch))
        switch.left = requests
        try:
            mirror.push()
        except OSError:
            assert contents(there).keys() >= (
                {"trial.json", "zz.json", "artifacts/a.json"} if "result.json" in contents(there) else set()
            )
            switch.left, switch.away = None, False
            mirror.push()
        whole = [name for name in contents(there) if not name.rpartition("/")[2].startswith(".")]
        assert sorted(whole) == ["artifacts/a.json", "result.json", "trial.json", "zz.json"]


def test_a_copy_of_lines_ends_at_a_whole_one(here: Path, there: Path) -> None:
    mirror = Mirror(here, make_store(there))
    _write(here, metrics_jsonl='{"a": 1}\n{"a"')
    mirror.push()
    assert contents(there)["metrics.jsonl"] == b'{"a": 1}\n'
    _write(here, metrics_jsonl='{"a": 1}\n{"a": 2}\n')
    mirror.push()
    assert contents(there)["metrics.jsonl"] == b'{"a": 1}\n{"a": 2}\n'


def test_only_a_result_is_ever_removed_from_the_store(here: Path, there: Path) -> None:
    mirror = Mirror(here, make_store(there))
    _write(here, result_json="{}", trial_json="{}")
    mirror.push()
    (here / "result.json").unlink()
    (here / "trial.json").unlink()
    mirror.push()
    assert list(contents(there)) == ["trial.json"]
    Mirror(here, make_store(there)).reconcile(make_store(there).versions(), ours=True)
    assert (here / "trial.json").read_text() == "{}"
    assert not (here / "result.json").exists()


def test_an_empty_copy_gets_everything(here: Path, there: Path, tmp_path: Path) -> None:
    _write(here, result_json="{}", metrics_jsonl="1\n", attempts__001_json="a")
    Mirror(here, make_store(there)).push()
    other = tmp_path / "other"
    mirror = Mirror(other, make_store(there))
    assert mirror.reconcile(make_store(there).versions(), ours=False)
    assert {k: v for k, v in contents(other).items() if not k.startswith(".")} == contents(there)
    assert mirror.push() == 0


def test_a_store_that_was_emptied_is_filled_again(here: Path, there: Path) -> None:
    mirror = Mirror(here, make_store(there))
    _write(here, result_json="{}", trial_json="{}")
    mirror.push()
    before = contents(there)
    shutil.rmtree(there)
    mirror = Mirror(here, make_store(there))
    mirror.reconcile(make_store(there).versions(), ours=False)
    mirror.push()
    assert contents(there) == before


def test_a_result_that_another_driver_took_back_goes_here_as_well(here: Path, there: Path) -> None:
    mirror = Mirror(here, make_store(there))
    _write(here, result_json="{}", trial_json="{}")
    mirror.push()
    (there / "result.json").unlink()
    mirror.reconcile(make_store(there).versions(), ours=False)
    mirror.push()
    assert not (here / "result.json").exists()
    assert list(contents(there)) == ["trial.json"]


def test_what_changed_here_is_not_written_over_while_a_study_runs(here: Path, there: Path) -> None:
    mirror = Mirror(here, make_store(there))
    _write(here, a_json="1", b_json="1")
    mirror.push()
    _write(here, a_json="here")
    _write(there, a_json="there", b_json="there")
    mirror.pull(make_store(there).versions())
    assert ((here / "a.json").read_text(), (here / "b.json").read_text()) == ("here", "there")
    mirror.push()
    assert contents(there) == {"a.json": b"here", "b.json": b"there"}


@pytest.mark.parametrize(
    ("ours", "ended", "wins"),
    [(True, False, "here"), (False, False, "there"), (False, True, "here")],
)
def test_where_both_changed_one_is_taken_whole(here: Path, there: Path, ours: bool, ended: bool, wins: str) -> None:
    mirror = Mirror(here, make_store(there))
    _write(here, metrics_jsonl="0\n")
    mirror.push()
    _write(here, metrics_jsonl="1\n2\n", only_json="here")
    _write(there, metrics_jsonl="1\n2\n3\n", other_json="there")
    if ended:
        _write(here, result_json="{}")
    came = mirror.reconcile(make_store(there).versions(), ours=ours)
    mirror.push()
    assert (here / "metrics.jsonl").read_bytes() == contents(there)["metrics.jsonl"]
    assert contents(there)["metrics.jsonl"] == (b"1\n2\n" if wins == "here" else b"1\n2\n3\n")
    assert ("only.json" in contents(there)) == (wins == "here")
    assert came  # `other.json` in either case
    assert ("result.json" in contents(there)) == ended


def test_a_fetch_that_was_cut_short_is_completed_and_nothing_is_taken_back(here: Path, there: Path) -> None:
    _write(there, trial_json="{}", metrics_jsonl="1\n", result_json="{}")
    before = contents(there)
    for requests in range(8):
        shutil.rmtree(here, ignore_errors=True)
        switch = Switch()
        store = make_store(there, switch)
        versions = store.versions()
        switch.left = requests
        try:
            Mirror(here, store).reconcile(versions, ours=False)
        except OSError:
            assert not (here / "result.json").exists()
        mirror = Mirror(here, make_store(there))
        mirror.reconcile(make_store(there).versions(), ours=True)
        mirror.push()
        assert contents(there) == before
        assert {k: v for k, v in contents(here).items() if not k.startswith(".")} == before


_NAMES = st.sampled_from(["trial.json", "metrics.jsonl", "result.json", "artifacts/x.json"])
_STEPS = st.lists(
    st.tuples(st.sampled_from(["here", "there", "push", "pull", "restart"]), _NAMES, st.integers(0, 9)), max_size=12
)


@given(steps=_STEPS)
def test_both_sides_are_the_same_in_the_end(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("mirror")
    here, there = root / "here", root / "there"
    here.mkdir()
    mirror = Mirror(here, make_store(there))
    clock = 1_000_000_000
    for action, name, value in steps:
        clock += 1
        if action in ("here", "there"):
            path = root / action / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
            os.utime(path, (clock, clock))
        elif action == "push":
            mirror.push()
        elif action == "pull":
            mirror.pull(make_store(there).versions())
        else:
            mirror = Mirror(here, make_store(there))
    mirror.reconcile(make_store(there).versions(), ours=False)
    mirror.push()
    assert {k: v for k, v in contents(here).items() if not k.startswith(".")} == contents(there)
