"""One driver at a time: who is alive is waited for or refused, who is dead is followed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from stores import Switch, make_store

from tadtune.spec.errors import StudyError
from tadtune.track.object_store import lease as module
from tadtune.track.object_store.lease import Lease, read_holder


@pytest.fixture(autouse=True)
def short(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "TTL_S", 0.6)


def _lease(root: Path, said: list[str] | None = None, switch: Switch | None = None) -> tuple[Lease, threading.Event]:
    lost = threading.Event()
    return Lease(make_store(root, switch), (said if said is not None else []).append, lost.set), lost


def test_a_living_driver_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TTL_S", 4.0)  # a busy machine may not run its thread for a while
    first, lost = _lease(tmp_path)
    assert first.take("a") is None
    said: list[str] = []
    with pytest.raises(StudyError, match=r"test://.*: the study is running already \(process \d+ on "):
        _lease(tmp_path, said)[0].take("b")
    assert len(said) == 1
    assert "waiting up to" in said[0]
    assert not lost.is_set()
    first.release()


def test_a_driver_that_let_go_is_followed_at_once(tmp_path: Path) -> None:
    first, _ = _lease(tmp_path)
    first.take("a")
    first.settle("a", workers_write=True)
    first.release()
    said: list[str] = []
    second, _ = _lease(tmp_path, said)
    before = second.take("b")
    assert before is not None
    assert (before.copy, before.workers_write, before.ended, said) == ("a", True, True, [])
    now = read_holder(make_store(tmp_path))
    assert now is not None
    assert (now.copy, now.workers_write) == ("a", True)  # until the new copy is what the store holds
    second.settle("b", workers_write=False)
    now = read_holder(make_store(tmp_path))
    assert now is not None
    assert (now.copy, now.workers_write, now.ended) == ("b", False, False)
    second.release()


def test_a_dead_driver_is_followed_when_its_time_is_over_or_the_copy_is_its_own(tmp_path: Path) -> None:
    first, _ = _lease(tmp_path)
    first.take("a")
    first.settle("a", workers_write=False)
    first._stop.set()  # it dies
    began = time.monotonic()
    second, _ = _lease(tmp_path)
    assert second.take("a") is not None  # the lock on the copy says that it is dead
    assert time.monotonic() - began < 0.4
    second.settle("a", workers_write=False)
    second._stop.set()
    third, _ = _lease(tmp_path)
    assert third.take("c") is not None
    assert time.monotonic() - began > 0.5
    third.release()


def test_of_those_that_start_together_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TTL_S", 15.0)  # half a second between writing and reading again
    together = threading.Barrier(4)

    def start(copy: str) -> None:
        switch = Switch()

        def wait(number: int, name: str) -> None:
            if name == "create_dir" and switch.asked.count(name) == 2:  # each has read that nobody is there
                together.wait(20)

        switch.before = wait
        lease, _ = _lease(tmp_path, switch=switch)
        try:
            ended.append(lease.take(copy))
        except StudyError as error:
            ended.append(error)
        leases.append(lease)

    ended: list[object] = []
    leases: list[Lease] = []
    threads = [threading.Thread(target=start, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, StudyError) for one in ended) == 3
    assert len(ended) == 4
    for lease in leases:
        lease.release()


def test_a_driver_that_was_replaced_while_cut_off_finds_out_before_it_writes(tmp_path: Path) -> None:
    switch = Switch()
    first, lost = _lease(tmp_path, switch=switch)
    first.take("a")
    switch.away = True
    time.sleep(0.7)
    with pytest.raises(OSError, match="Could not connect"):
        first.check()
    second, _ = _lease(tmp_path)
    second.take("b")
    switch.away = False
    with pytest.raises(OSError, match="another driver holds the study"):
        first.check()
    assert lost.is_set()
    first.release()
    holder = read_holder(make_store(tmp_path))
    assert holder is not None
    assert not holder.ended  # the other one's words stand
    second.release()


def test_a_store_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    switch = Switch()
    switch.away = True
    with pytest.raises(StudyError, match=r"storage: test://.*: it does not answer \(Could not connect to server\)"):
        _lease(tmp_path, switch=switch)[0].take("a")
