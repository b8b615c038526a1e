"""Studies whose storage is an object store, against an S3-compatible server on loopback."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from object_store import ObjectStore, object_store
from rich.console import Console
from toy_runs import wait_until
from typer.testing import CliRunner

from tadtune.cli import app
from tadtune.conclusion import conclude
from tadtune.run.engine import Outcome, Settings, run_study
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from tadtune.track.object_store import lease
from tadtune.track.object_store.objects import open_store
from tadtune.track.record import Result
from tadtune.track.storage import study_folder

pytestmark = pytest.mark.slow

SHORT = "import tadtune.track.object_store.lease as l; l.TTL_S = 3.0; from tadtune.cli import main; main()"


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


class Lab:
    """Runs studies in this process on the session's cluster, with one prefix of the store for itself."""

    def __init__(self, server: ObjectStore, root: Path, tracking_uri: str) -> None:
        self.server, self.root, self.tracking_uri = server, root, tracking_uri
        self.address = server.address(f"lab/{uuid.uuid4().hex}")
        self.output = io.StringIO()

    def run(self, raw: dict[str, Any], storage: str = "", **settings: Any) -> Outcome:
        console = Console(file=self.output, width=300)
        chosen = Settings(storage or self.address, self.root / "data", self.tracking_uri, **settings)
        return run_study(parse_study(raw), chosen, console, conclude)

    def ended(self, raw: dict[str, Any]) -> list[str]:
        """Trials whose result the store holds."""
        slug = raw["study"].replace("/", "__")
        found = open_store(self.address).versions(f"{slug}/trials")
        return sorted(name.split("/")[0] for name in found if name.endswith("/result.json"))

    def lose_the_copy(self) -> None:
        shutil.rmtree(self.root / "cache")


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One data base for all: making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def lab(
    server: ObjectStore, tracking_uri: str, tmp_path: Path, ray_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> Lab:
    monkeypatch.setenv("TADTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(lease, "TTL_S", 3.0)
    return Lab(server, tmp_path, tracking_uri)


@pytest.fixture(scope="module")
def undisturbed(ray_cluster: Any, tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Results of a study that is run in a folder and left alone, by trial; once for all tests."""
    root = tmp_path_factory.mktemp("undisturbed")
    known: dict[str, dict[str, tuple[Any, ...]]] = {}

    def results(raw: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
        key = repr(raw)
        if key not in known:
            settings = Settings(root / str(len(known)), root / "data", tracking_uri)
            known[key] = _results(run_study(parse_study(raw), settings, Console(quiet=True), conclude))
        return known[key]

    return results


def _same(result: Result | None) -> tuple[Any, ...]:
    assert result is not None
    return (result.status, dict(result.metrics), result.objective, result.epochs)


def _results(outcome: Outcome) -> dict[str, tuple[Any, ...]]:
    return {i: _same(record.result()) for i, record in outcome.folder.records().items()}


def test_a_driver_is_killed_and_its_machine_lost(lab: Lab, toy_ablation: dict[str, Any], undisturbed: Any) -> None:
    raw = {**toy_ablation, "set": {"detector.sleep_s": 0.1}, "resources": {"max_concurrent": 1}}
    file, log = lab.root / "study.yaml", lab.root / "toy.log"
    file.write_text(yaml.safe_dump(raw))
    words = ["run", str(file), "--storage", lab.address, "--data", str(lab.root / "data")]
    words += ["--tracking-uri", lab.tracking_uri]
    hold = lab.root / "hold"
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    environment |= {"TOY_LOG": str(log), "TOY_HOLD": str(hold)}

    def scored() -> int:
        return sum('"test"' in line for line in log.read_text().splitlines()) if log.exists() else 0

    with (lab.root / "driver.out").open("w") as output:
        driver = subprocess.Popen(
            [sys.executable, "-c", SHORT, *words],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: scored() >= 2 or driver.poll() is not None, 180)
        hold.touch()
        wait_until(lambda: len(lab.ended(raw)) == scored() or driver.poll() is not None, 60)
        assert driver.poll() is None, (lab.root / "driver.out").read_text()
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    before = lab.ended(raw)
    assert 2 <= len(before) == scored() < 6
    lab.lose_the_copy()
    outcome = lab.run(raw)
    assert (outcome.counts["complete"], outcome.ran, outcome.unstored) == (6, 6 - len(before), "")
    assert len(lab.ended(raw)) == 6
    assert _results(outcome) == undisturbed(raw)
    lab.lose_the_copy()
    shown = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["report", str(file), "--storage", lab.address])
    assert shown.exit_code == 0, shown.output
    folder = study_folder(lab.address, "toy__ablation")
    assert str(folder.report / "report.html") in shown.output
    assert {i: _same(record.result()) for i, record in folder.records().items()} == _results(outcome)


def test_a_store_that_is_away_for_a_while_costs_nothing(lab: Lab, toy_sweep: dict[str, Any]) -> None:
    raw = {**toy_sweep, "budget": {"trials": 5, "checkpoints": 1}, "set": {"detector.sleep_s": 0.05}}
    raw["resources"] = {"max_concurrent": 1}
    copies = lambda: list((lab.root / "cache").glob("*/toy__sweep/trials/*/result.json"))  # noqa: E731

    def away() -> None:
        wait_until(lambda: len(copies()) >= 1)
        lab.server.stop()
        wait_until(lambda: len(copies()) == 5)
        lab.server.start()

    outage = threading.Thread(target=away)
    outage.start()
    outcome = lab.run(raw)
    outage.join()
    assert (outcome.counts["complete"], outcome.ran, outcome.unstored) == (5, 5, "")
    assert len(lab.ended(raw)) == 5
    names = open_store(lab.address).versions("toy__sweep/trials")
    kept = {name.split("/")[0] for name in names if name.endswith("checkpoint/manifest.json")}
    results = {i: r.result() for i, r in outcome.folder.records().items()}
    best = max(results, key=lambda i: results[i].objective)  # type: ignore[union-attr, arg-type, return-value]
    last = max(results, key=lambda i: results[i].finished_at)  # type: ignore[union-attr]
    assert kept == {best, last}


def test_a_bucket_that_goes_is_said_and_the_same_command_fills_another(lab: Lab, toy_ablation: dict[str, Any]) -> None:
    raw = {**toy_ablation, "seeds": [0], "resources": {"max_concurrent": 1}, "set": {"detector.sleep_s": 0.1}}
    lab.server.make_bucket("goes")
    lab.address = lab.server.address("goes/runs")

    def go() -> None:
        wait_until(lambda: bool(list((lab.root / "cache").glob("*/toy__ablation/trials/*/trial.json"))))
        lab.server.remove_bucket("goes")

    loss = threading.Thread(target=go)
    loss.start()
    outcome = lab.run(raw, store_patience_s=0.1)
    loss.join()
    assert outcome.counts["complete"] == 2
    assert "did not take everything (OSError: " in outcome.unstored
    assert "NO_SUCH_BUCKET" in outcome.unstored
    assert "the same command on this machine sends the rest" in outcome.unstored
    lab.server.make_bucket("goes")
    again = lab.run(raw)
    assert (again.ran, again.unstored) == (0, "")
    assert len(lab.ended(raw)) == 2


def test_trials_that_do_not_see_the_drivers_folder_write_to_the_store(
    lab: Lab, toy_ablation: dict[str, Any], undisturbed: Any
) -> None:
    rows = {**toy_ablation["rows"], "slow": {"set": {"detector.sleep_s": 1.5}}}
    raw = {**toy_ablation, "rows": rows, "seeds": [0], "set": {"detector.sleep_s": 0.1}}
    outcome = lab.run({**raw, "resources": {"timeout": "4s"}}, address="auto")
    assert (outcome.counts["complete"], outcome.counts["failed"], outcome.unstored) == (2, 1, "")
    records = outcome.folder.records()
    whole = undisturbed({**toy_ablation, "set": raw["set"], "resources": {"max_concurrent": 1}})
    ended = {i: _same(r.result()) for i, r in records.items() if not r.attempts()}
    assert len(ended) == 2
    assert ended == {i: whole[i] for i in ended}
    (slow,) = (r for r in records.values() if r.attempts())
    assert [a.kind for a in slow.attempts()] == ["timeout"]
    assert "what every thread was doing is in " in slow.attempts()[0].error
    before = slow.reports()
    assert 1 <= len(before) <= 2
    assert not list((lab.root / "cache").rglob("checkpoint.pt"))
    lab.lose_the_copy()
    again = lab.run(raw, address="auto")
    assert (again.ran, again.counts["complete"]) == (1, 3)
    after = slow.reports()
    assert [r.epoch for r in after] == [1, 2, 3]
    assert after[: len(before)] == before
    assert after[len(before)].seconds - before[-1].seconds < 2.9  # one epoch: it went on from the store's checkpoint


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere/runs", "there is no such bucket; make it first"),
        ("lab/runs?foo=1", "it cannot be used .*Unexpected query parameter"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_before_work_starts(
    lab: Lab, toy_ablation: dict[str, Any], place: str, said: str
) -> None:
    address = f"s3://{place}" if "?" in place else lab.server.address(place)
    with pytest.raises(StudyError, match=rf"storage: s3://{place.split('?')[0]}.*: {said}"):
        lab.run(toy_ablation, address)
    assert not list((lab.root / "cache").rglob("trial.json"))
