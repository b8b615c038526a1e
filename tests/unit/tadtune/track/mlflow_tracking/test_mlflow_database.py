"""MLflow's SQLite file is there whole or not at all, whoever makes it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from tadtune.track.mlflow_tracking import database as mlflow_database
from tadtune.track.mlflow_tracking.database import database_problem, make_sqlite, prepare_database

#: Makes a data base as `tadtune server up` does, and dies after the third of the schema's migrations.
KILLED = """
import os, signal, sys
from alembic.runtime.migration import HeadMaintainer
from tadtune.track.mlflow_tracking.database import prepare_database

whole, steps = HeadMaintainer.update_to_step, []

def update_to_step(self, step):
    whole(self, step)
    steps.append(step)
    if len(steps) == 3:
        self.context.connection.commit()
        os.kill(os.getpid(), signal.SIGKILL)

HeadMaintainer.update_to_step = update_to_step
prepare_database(sys.argv[1], migrate=False)
"""


def prepare(uri: str) -> None:
    """As a server does."""
    prepare_database(uri, migrate=False)


both = pytest.mark.parametrize("make", [make_sqlite, prepare], ids=["driver", "server"])


@both
def test_a_new_file_is_whole_and_stays_as_it_is(
    tmp_path: Path, make: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runs" / "mlflow.db"
    make(f"sqlite:///{file}")
    assert database_problem(f"sqlite:///{file}") == ""
    assert [path.name for path in file.parent.iterdir()] == ["mlflow.db"]
    before = file.read_bytes()
    make(f"sqlite:///{file}")
    assert file.read_bytes() == before
    assert capfd.readouterr() == ("", "")


def test_killed_half_way_it_leaves_nothing_that_is_taken_for_a_data_base(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "mlflow.db"
    done = subprocess.run([sys.executable, "-c", KILLED, f"sqlite:///{file}"], check=False)
    assert done.returncode == -signal.SIGKILL
    (scratch,) = file.parent.iterdir()
    assert "of an older MLflow" in database_problem(f"sqlite:///{scratch}"), "it was not half-way"
    assert scratch.name.startswith(".mlflow.db.")
    assert database_problem(f"sqlite:///{file}") == ""
    assert prepare_database(f"sqlite:///{file}", migrate=False).endswith(" made")
    assert file.is_file()


@both
def test_who_is_stopped_meanwhile_leaves_nothing(
    tmp_path: Path, make: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(uri: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow_database, "_upgrade", half)
    with pytest.raises(KeyboardInterrupt):
        make(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


@both
def test_of_two_the_quicker_ones_file_stays(
    tmp_path: Path, make: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mlflow.db"

    def slower(uri: str) -> None:
        file.write_bytes(b"theirs")
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"ours")

    monkeypatch.setattr(mlflow_database, "_upgrade", slower)
    make(f"sqlite:///{file}")
    assert file.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_the_default_experiment_is_left_to_who_knows_where_artifacts_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    make_sqlite(uri)
    monkeypatch.chdir(tmp_path)
    (default,) = mlflow.MlflowClient(tracking_uri=uri).search_experiments()
    assert default.artifact_location.startswith(str(tmp_path))


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://localhost/mlflow"])
def test_servers_make_their_own(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_database, "_upgrade", lambda uri: pytest.fail(f"{uri} was touched"))
    make_sqlite(uri)
