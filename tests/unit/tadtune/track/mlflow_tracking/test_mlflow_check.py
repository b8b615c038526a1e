"""What is wrong with a tracking address: one line, with the way out."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from answers import Answer, answering, greeting
from mlflow.server.security_utils import INVALID_HOST_MSG

from tadtune.spec.errors import StudyError
from tadtune.track.mlflow_tracking.check import tracking_problem, without_password
from tadtune.track.mlflow_tracking.database import prepare_database
from tadtune.track.mlflow_tracking.runs import check_tracking


@pytest.fixture
def server() -> Iterator[tuple[str, type[Answer]]]:
    """Healthy, whatever else it answers."""
    with answering(health=b"OK") as found:
        yield found


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (200, "{}", ""),
        (401, "", "{} asks for an account (401); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."),
        (
            403,
            INVALID_HOST_MSG,
            "{} refuses the name '127.0.0.1' (403); start the server with --allowed-host 127.0.0.1.",
        ),
        (403, "no", "{} does not allow this account to look at experiments (403); ask its administrator."),
        (404, "", "{} answers 404, not as MLflow does; check the port."),
        (200, "<html>", "{} answers, but not as MLflow does; check the port."),
        (500, "no such\n table", "{} fails (500: no such table); its own log says why."),
    ],
)
def test_what_a_server_answers(server: tuple[str, type[Answer]], status: int, body: str, problem: str) -> None:
    uri, answer = server
    answer.status, answer.body = status, body.encode()
    assert tracking_problem(uri + "/") == problem.format(uri)
    assert [path for path, _ in answer.asked] == ["/health", "/api/2.0/mlflow/experiments/search"]


def test_the_account_of_the_environment_is_used(
    server: tuple[str, type[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, answer = server
    answer.status = 401
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "geheim")
    problem = tracking_problem(uri)
    assert problem.startswith(f"{uri} refuses this account (401)")
    assert "geheim" not in problem
    assert answer.asked[-1][1] == "Basic " + base64.b64encode(b"me:geheim").decode()
    assert answer.asked[0][1] is None


def test_nobody_there_and_nonsense() -> None:
    assert "does not answer ([Errno 111] Connection refused)" in tracking_problem("http://127.0.0.1:9")
    assert tracking_problem("http://host:port") == "'http://host:port' is no address (nonnumeric port: 'port')."
    assert tracking_problem("ftp://x") == "'ftp://x' is no http(s)://, sqlite:/// or postgresql:// address."


def test_who_speaks_something_else() -> None:
    with greeting() as uri:
        assert tracking_problem(uri) == f"{uri} answers, but not as MLflow does; check the port."


@pytest.mark.parametrize(
    ("uri", "address", "password"),
    [
        ("http://me:a%40b@h:5000/x?y=1", "http://me@h:5000/x?y=1", "a@b"),
        ("postgresql+psycopg://m%40:p@h/db?sslmode=require", "postgresql+psycopg://m%40@h/db?sslmode=require", "p"),
        ("http://:p@[::1]:5000", "http://[::1]:5000", "p"),
        ("http://me@h", "http://me@h", ""),
        ("sqlite:////runs/a:b@c.db", "sqlite:////runs/a:b@c.db", ""),
    ],
)
def test_a_password_is_taken_out_of_an_address(uri: str, address: str, password: str) -> None:
    assert without_password(uri) == (address, password)


@pytest.mark.parametrize("uri", ["http://me:geheim@127.0.0.1:9", "postgresql://me:geheim@127.0.0.1:9/runs"])
def test_a_study_takes_no_address_with_a_password(uri: str) -> None:
    with pytest.raises(
        StudyError, match=r"^tracking: .*://me@127.0.0.1:9.*: holds a password as well.*PGPASSWORD"
    ) as e:
        check_tracking(uri)
    assert "geheim" not in str(e.value)


def test_a_data_base_that_is_not_there_yet_is_no_problem_and_stays_away(tmp_path: Path) -> None:
    assert tracking_problem(f"sqlite:///{tmp_path / 'deep' / 'm.db'}") == ""
    assert not list(tmp_path.iterdir())


def revision(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        return str(connection.execute("select version_num from alembic_version").fetchone()[0])


def set_revision(path: Path, value: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update alembic_version set version_num = ?", (value,))


def test_a_schema_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "m.db"
    uri = f"sqlite:///{path}"
    done = prepare_database(uri, migrate=False)
    head = revision(path)
    assert done == f"{uri}: schema {head} made"
    assert tracking_problem(uri) == ""
    assert prepare_database(uri, migrate=False) == ""

    set_revision(path, "not-a-revision")
    problem = tracking_problem(uri)
    assert problem.startswith(f"{uri} has the schema not-a-revision, which this MLflow does not know: a newer one")
    for migrate in (False, True):  # never touched, whatever is allowed
        with pytest.raises(StudyError, match="does not know"):
            prepare_database(uri, migrate=migrate)
    assert revision(path) == "not-a-revision"


@pytest.fixture
def older(tmp_path: Path) -> tuple[Path, str, str]:
    """A data base as the MLflow of one schema ago left it, that schema, and this one's."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    path = tmp_path / "older.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(f"sqlite:///{path}")
    script = ScriptDirectory.from_config(config)
    head = script.get_revision(script.get_current_head() or "")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, str(head.down_revision))
    engine.dispose()
    return path, str(head.down_revision), head.revision


def test_an_older_schema_is_changed_only_when_told(older: tuple[Path, str, str]) -> None:
    path, before, head = older
    uri = f"sqlite:///{path}"
    assert revision(path) == before
    problem = f"{uri} has the schema {before} of an older MLflow, this one needs {head}; back it up, then `tadtune"
    assert tracking_problem(uri).startswith(problem)
    with pytest.raises(StudyError, match="back it up, then `tadtune server up --migrate`"):
        prepare_database(uri, migrate=False)
    assert revision(path) == before
    assert prepare_database(uri, migrate=True) == f"{uri}: schema brought from {before} to {head}"
    assert revision(path) == head
    assert tracking_problem(uri) == ""


def test_a_data_base_that_cannot_be_reached_shows_no_password() -> None:
    problem = tracking_problem("postgresql://me:geheim@127.0.0.1:9/mlflow")
    assert problem.startswith("postgresql://me:***@127.0.0.1:9/mlflow cannot be opened (")
    assert "geheim" not in problem
