"""A study in a store: the copy may be lost at any moment, the store may be away, and no trial is lost or mixed up."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stores import Switch, contents, make_store

from tadtune.plan.trial import Trial, make_trial
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from tadtune.track.object_store import lease
from tadtune.track.object_store import record as stored_record
from tadtune.track.object_store import study as stored_study
from tadtune.track.object_store.checkpoint import StoredCheckpoint
from tadtune.track.object_store.record import RecordMirror, StoredRecord
from tadtune.track.object_store.study import StoredStudyFolder
from tadtune.track.record import Report, Result, TrialRecord


@pytest.fixture(autouse=True)
def short(monkeypatch: Any) -> None:
    monkeypatch.setattr(lease, "TTL_S", 0.6)
    monkeypatch.setattr(stored_study, "PACE_S", 0.01)
    for module in (stored_record, stored_study):
        monkeypatch.setattr(module, "WAITS_S", (0.02,))


@pytest.fixture
def trials(toy_sweep: dict[str, Any]) -> list[Trial]:
    study = parse_study(toy_sweep)
    return [make_trial(study, study.parts, study.values, seed) for seed in range(4)]


class Place:
    """A store and local copies of a study in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.switch = root, Switch()
        self.there = root / "store"

    def folder(self, copy: str = "copy", slug: str = "study") -> StoredStudyFolder:
        return StoredStudyFolder(self.root / copy, slug, make_store(self.there, self.switch), lambda text: None)

    def objects(self, slug: str = "study") -> dict[str, bytes]:
        """But for the lease and what is being written beside its name."""
        found = {
            name.removeprefix(f"{slug}/"): data for name, data in contents(self.there).items() if name.startswith(slug)
        }
        return {k: v for k, v in found.items() if k != "driver.json" and not k.rpartition("/")[2].startswith(".")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _train(record: TrialRecord, trial: Trial, epochs: int, *, end: bool = False) -> None:
    record.start(trial, {"data": "d"})
    for epoch in range(1, epochs + 1):
        record.append(Report(epoch, float(epoch), {"select/avg_map": 0.1 * epoch}, 1.0))
        scratch = record.folder / ".checkpoint.partial"
        scratch.write_bytes(b"weights %d" % epoch)
        scratch.replace(record.checkpoint)
    if end:
        record.artifacts.mkdir(exist_ok=True)
        (record.artifacts / "detections.json").write_text("{}")
        record.finish(Result("complete", objective=0.5, epochs=epochs))


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_copy_that_is_lost_comes_back(place: Place, trials: list[Trial]) -> None:
    folder = place.folder()
    with folder.lock():
        folder.keep_definition({"name": "x"})
        folder.journal.write_text("line\n")
        _train(folder.record(trials[0].id), trials[0], 3, end=True)
        _train(folder.record(trials[1].id), trials[1], 2)
        folder.publish(trials[0].id)
        assert folder.flush(5.0) == ""
    shutil.rmtree(place.root / "copy")
    again = place.folder()
    with again.lock():
        assert again.definition() == {"name": "x"}
        assert again.journal.read_text() == "line\n"
        assert again.record(trials[0].id).result() == Result("complete", objective=0.5, epochs=3)
        assert (again.record(trials[0].id).artifacts / "detections.json").is_file()
        assert not again.record(trials[0].id).checkpoint.exists()  # nobody will train it further
        assert [r.epoch for r in again.record(trials[1].id).reports()] == [1, 2]
        assert again.record(trials[1].id).checkpoint.read_bytes() == b"weights 2"


def test_whenever_the_store_goes_what_it_holds_is_an_interrupted_study(place: Place, trials: list[Trial]) -> None:
    """The reference is a plain reading of the objects, in the order in which a resume looks at them."""
    done = {trial.id for trial in trials[:2]}
    for requests in range(8, 80, 5):
        shutil.rmtree(place.root, ignore_errors=True)
        place.switch.away, place.switch.left = False, None
        folder = place.folder()
        with folder.lock():
            folder.keep_definition({"name": "x"})
            folder.flush(5.0)
            place.switch.left = requests
            for trial in trials[:2]:
                _train(folder.record(trial.id), trial, 2, end=True)
                folder.publish(trial.id)
                with folder.journal.open("a") as journal:
                    journal.write(f"{trial.id}\n")
            _train(folder.record(trials[2].id), trials[2], 2)
            folder.publish(trials[2].id)
            folder.flush(0.0)
            held = place.objects()
            said = {t for t in done if t.encode() in held.get("optuna.journal", b"")}
            for trial in trials[:3]:
                base = f"trials/{trial.id}"
                if f"{base}/result.json" in held:
                    assert f"{base}/artifacts/detections.json" in held
                    assert f"{base}/checkpoint/manifest.json" in held
                assert trial.id not in said or f"{base}/result.json" in held
                checkpoint = TrialRecord(place.root / "reader" / trial.id).checkpoint
                checkpoint.parent.mkdir(parents=True, exist_ok=True)
                reader = make_store(place.there).below(f"study/{base}")
                if StoredCheckpoint(reader).load(checkpoint):
                    epoch = int(checkpoint.read_bytes().split()[1])
                    assert held[f"{base}/metrics.jsonl"].count(b"\n") >= epoch
            place.switch.away, place.switch.left = False, None
            assert folder.flush(5.0) == ""
            assert {i for i in done if f"trials/{i}/result.json" in place.objects()} == done


def test_a_checkpoint_is_never_ahead_of_its_reports(tmp_path: Path, trials: list[Trial]) -> None:
    """While a record is carried over its trial goes on, and then the line is cut."""
    for later in range(1, 26, 2):
        for cut in range(later, 40, 3):
            root, switch = tmp_path / f"{later}-{cut}", Switch()
            record = TrialRecord(root / "here")
            _train(record, trials[0], 1)
            switch.before = lambda n, name, r=record, k=later: _train(r, trials[0], 2) if n == k else None  # type: ignore[misc]
            switch.left = cut
            with contextlib.suppress(OSError):
                RecordMirror(record, make_store(root / "there", switch)).push()
            held = contents(root / "there")
            if StoredCheckpoint(make_store(root / "there")).load(root / "back.pt"):
                epoch = int((root / "back.pt").read_bytes().split()[1])
                assert held["metrics.jsonl"].count(b"\n") >= epoch


def test_a_store_that_is_away_stops_nothing_and_gets_everything_when_it_is_back(
    place: Place, trials: list[Trial]
) -> None:
    folder = place.folder()
    with folder.lock():
        _train(folder.record(trials[1].id), trials[1], 1)
        folder.flush(5.0)
        place.switch.away = True
        _train(folder.record(trials[0].id), trials[0], 2, end=True)
        folder.publish(trials[0].id)
        _wait(lambda: folder.state() != "")
        assert folder.state() == "storage away, 1 trials to be sent"
        said = folder.flush(0.1)
        assert "test://store/study did not take everything (OSError: Could not connect to server)" in said
        assert f"what 1 trials wrote last is in {folder.path} alone; the same command" in said
        place.switch.away = False
        assert folder.flush(5.0) == ""
        assert folder.state() == ""
        assert f"trials/{trials[0].id}/result.json" in place.objects()


def test_what_was_not_sent_is_sent_by_the_next_launch(place: Place, trials: list[Trial]) -> None:
    folder = place.folder()
    with folder.lock():
        _train(folder.record(trials[0].id), trials[0], 1)
        assert folder.flush(5.0) == ""
        place.switch.away = True
        _train(folder.record(trials[0].id), trials[0], 4)
    assert place.objects()[f"trials/{trials[0].id}/metrics.jsonl"].count(b"\n") == 1
    place.switch.away = False
    again = place.folder()
    with again.lock():
        assert again.record(trials[0].id).checkpoint.read_bytes() == b"weights 4"
        assert again.flush(5.0) == ""
    assert place.objects()[f"trials/{trials[0].id}/metrics.jsonl"].count(b"\n") == 4


def test_reports_and_checkpoint_of_a_trial_are_from_one_side(place: Place, trials: list[Trial]) -> None:
    folder, trial = place.folder(), trials[0]
    with folder.lock():
        _train(folder.record(trial.id), trial, 1)
        assert folder.flush(5.0) == ""
        place.switch.away = True
        _train(folder.record(trial.id), trial, 5)  # is never sent
    place.switch.away = False
    other = place.folder("another machine")
    with other.lock():
        _train(other.record(trial.id), trial, 3)
        assert other.flush(5.0) == ""
    back = place.folder()
    with back.lock():
        assert [r.epoch for r in back.record(trial.id).reports()] == [1, 2, 3]
        assert back.record(trial.id).checkpoint.read_bytes() == b"weights 3"


def test_a_failure_that_is_repeated_is_taken_back_in_the_store(place: Place, trials: list[Trial]) -> None:
    folder = place.folder()
    with folder.lock():
        record = folder.record(trials[0].id)
        record.start(trials[0], {})
        record.finish(Result("failed", error="x"))
        folder.flush(5.0)
        assert f"trials/{trials[0].id}/result.json" in place.objects()
        record.forget_failure()
        assert folder.flush(5.0) == ""
        assert f"trials/{trials[0].id}/result.json" not in place.objects()


def test_the_budget_drops_checkpoints_in_the_store_as_well(place: Place, trials: list[Trial]) -> None:
    folder = place.folder()
    with folder.lock():
        for trial in trials[:2]:
            _train(folder.record(trial.id), trial, 2, end=True)
        assert folder.flush(5.0) == ""
        assert folder.drop_checkpoint(trials[0].id)
        assert not folder.drop_checkpoint(trials[3].id)
        assert folder.flush(5.0) == ""
    kept = {name.split("/")[1] for name in place.objects() if "/checkpoint/" in name}
    assert kept == {trials[1].id}
    shutil.rmtree(place.root / "copy")
    again = place.folder()
    with again.lock():
        assert not again.drop_checkpoint(trials[0].id)
        assert again.drop_checkpoint(trials[1].id)  # it is in the store alone
        assert again.flush(5.0) == ""
    assert not [name for name in place.objects() if "/checkpoint/" in name]


def test_a_second_driver_is_refused_on_this_machine_and_on_another(place: Place, monkeypatch: Any) -> None:
    monkeypatch.setattr(lease, "TTL_S", 4.0)
    with place.folder().lock():
        with pytest.raises(StudyError, match="running already"), place.folder().lock():
            pass
        with pytest.raises(StudyError, match="running already"), place.folder("another machine").lock():
            pass
    with place.folder("another machine").lock():
        pass


def test_a_driver_that_is_replaced_says_so(place: Place) -> None:
    folder = place.folder()
    with pytest.raises(StudyError, match="another driver took the study over"), folder.lock():
        folder.flush(5.0)
        make_store(place.there).write("study/driver.json", b'{"owner": "other", "process": "p", "copy": "c"}')
        _wait(lambda: folder.lost)
    assert b"other" in contents(place.there)["study/driver.json"]


def test_a_report_reads_the_store_and_leaves_what_was_not_sent(place: Place, trials: list[Trial]) -> None:
    folder = place.folder()
    with folder.lock():
        _train(folder.record(trials[0].id), trials[0], 2, end=True)
        folder.flush(5.0)
        place.switch.away = True
        _train(folder.record(trials[1].id), trials[1], 2, end=True)
    with pytest.raises(StudyError, match="it does not answer"):
        place.folder().update()
    place.switch.away = False
    for copy, wanted in (("copy", 2), ("elsewhere", 1)):
        reader = place.folder(copy)
        reader.update()
        assert len(reader.records()) == wanted
    nothing = place.folder("copy", "never")
    nothing.update()
    assert nothing.records() == {}


def test_a_trial_of_another_study_of_the_storage_is_taken_over(place: Place, trials: list[Trial]) -> None:
    first = place.folder("copy", "first")
    with first.lock():
        _train(first.record(trials[0].id), trials[0], 2, end=True)
        first.flush(5.0)
    second = place.folder("another machine", "second")
    with second.lock():
        assert second.adopt(trials[0].id)
        assert not second.adopt(trials[1].id)
        assert second.record(trials[0].id).result() == Result("complete", objective=0.5, epochs=2)
        assert second.flush(5.0) == ""
    wanted = {k: v for k, v in place.objects("first").items() if k.startswith("trials/")}
    assert {k: v for k, v in place.objects("second").items() if k.startswith("trials/")} == wanted


def test_a_trial_elsewhere_writes_to_the_store_and_the_driver_reads_it_there(place: Place, trials: list[Trial]) -> None:
    folder = place.folder()
    trial = trials[0]
    with folder.lock():
        assert folder.address(trial.id) == ""
        folder.let_workers_write()
        assert folder.address(trial.id) == f"test://store/study/trials/{trial.id}"
        (place.root / "scratch").mkdir()
        worker = StoredRecord(place.root / "scratch", make_store(place.there).below(f"study/trials/{trial.id}"))
        worker.fetch()
        worker.announce_limit(1, 0.05)
        _train(worker, trial, 2)
        worker.publish()
        folder.refresh(trial.id, lambda: False)
        record = folder.record(trial.id)
        assert [r.epoch for r in record.reports()] == [1, 2]
        assert not record.checkpoint.exists()
        time.sleep(0.1)
        assert "scratch/timeout.txt" in record.overran(1)
        assert record.overran(2) == ""
        place.switch.away = True
        worker.publish()  # nothing waits for it
        place.switch.away = False
        (place.root / "next").mkdir()
        after = StoredRecord(place.root / "next", make_store(place.there).below(f"study/trials/{trial.id}"))
        after.fetch()
        assert after.checkpoint.read_bytes() == b"weights 2"
        _train(after, trial, 3, end=True)
        after.publish(final=True)
        folder.refresh(trial.id, lambda: False)
        assert record.result() == Result("complete", objective=0.5, epochs=3)
        assert folder.drop_checkpoint(trial.id)
        assert folder.flush(5.0) == ""
    assert not [name for name in place.objects() if "/checkpoint/" in name]
