"""MLflow's SQLite file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from tadtune.track.mlflow_database import database_problem, make_sqlite


def test_a_new_file_is_whole_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "mlflow.db"
    make_sqlite(f"sqlite:///{file}")
    assert database_problem(f"sqlite:///{file}") == ""
    assert [path.name for path in file.parent.iterdir()] == ["mlflow.db"]
    before = file.read_bytes()
    make_sqlite(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_driver_stopped_meanwhile_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(client: mlflow.MlflowClient, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.MlflowClient, "search_experiments", half)
    with pytest.raises(KeyboardInterrupt):
        make_sqlite(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


def test_of_two_drivers_the_quicker_ones_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"

    def quicker(client: mlflow.MlflowClient, **_: object) -> None:
        file.write_bytes(b"theirs")

    monkeypatch.setattr(mlflow.MlflowClient, "search_experiments", quicker)
    make_sqlite(f"sqlite:///{file}")
    assert file.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://localhost/mlflow"])
def test_servers_make_their_own(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "MlflowClient", None)
    make_sqlite(uri)
    assert mlflow.MlflowClient is None
