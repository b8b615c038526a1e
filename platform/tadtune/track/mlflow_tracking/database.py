"""The schema of MLflow's data base: made or brought up to date once, before any worker opens it."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tadtune.spec.errors import StudyError

if TYPE_CHECKING:
    from sqlalchemy import URL


def database_problem(uri: str) -> str:
    """What is wrong with a data base, "" when this MLflow can use it as it is.

    Args:
        uri: ``sqlite:///`` or ``postgresql://``. An SQLite file that is not there yet is no problem: it will be made.
    """
    try:
        shown = _url(uri).render_as_string()
        if _sqlite_file_is_missing(uri):
            return ""
        state, found, wanted = _schema(uri)
    except StudyError as error:
        return str(error)
    if state == "old":
        return (
            f"{shown} has the schema {found} of an older MLflow, this one needs {wanted}; back it up, then "
            "`tadtune server up --migrate`."
        )
    if state == "unknown":
        return (
            f"{shown} has the schema {found}, which this MLflow does not know: a newer one made it; "
            "install that version."
        )
    return ""


def prepare_database(uri: str, *, migrate: bool) -> str:
    """Make the schema where there is none; bring an older one up to date only when told so.

    Eight processes that opened a fresh data base at the same time all failed, so it is made here, by one.

    Args:
        uri: of the data base.
        migrate: an older schema may be changed, which cannot be undone.

    Returns:
        What was done, in words, or "".

    Raises:
        StudyError: it cannot be reached, or its schema does not fit.
    """
    state, found, wanted = _schema(uri)
    if state == "current":
        return ""
    if state == "unknown" or (state == "old" and not migrate):
        raise StudyError([f"data base: {database_problem(uri)}"])
    if _sqlite_file_is_missing(uri):
        make_sqlite(uri)
    else:
        _upgrade(uri)
    shown = _url(uri).render_as_string()
    return f"{shown}: schema {wanted} made" if state == "none" else f"{shown}: schema brought from {found} to {wanted}"


def make_sqlite(uri: str) -> None:
    """Make an SQLite file that is not there yet, whole or not at all: MLflow takes seconds for it.

    A process that is stopped meanwhile would otherwise leave a schema half made, which looks like an older MLflow's.
    It holds no experiment: MLflow's default one is made by whoever opens it first, who knows where artifacts go.

    Args:
        uri: of any data base; others, and files that are there, stay as they are.
    """
    if not uri.startswith("sqlite:") or not _sqlite_file_is_missing(uri):
        return
    path = Path(_url(uri).database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        _upgrade(f"sqlite:///{scratch}")
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _schema(uri: str) -> tuple[str, str, str]:
    """State ("none", "old", "current", "unknown"), revision found, revision of this MLflow.

    Raises:
        StudyError: the data base cannot be reached.
    """
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    script = ScriptDirectory(str(files("mlflow.store") / "db_migrations"))
    wanted = str(script.get_current_head())
    if _sqlite_file_is_missing(uri):
        return "none", "", wanted
    try:
        engine = create_engine(uri)
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
    except ModuleNotFoundError as error:
        raise StudyError(
            [f"{_url(uri).render_as_string()} needs {error.name}; pip install 'tadtune[server]'."]
        ) from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise StudyError([f"{_url(uri).render_as_string()} cannot be opened ({reason})."]) from error
    if found is None:
        return "none", "", wanted
    if found == wanted:
        return "current", found, wanted
    known = found in {revision.revision for revision in script.walk_revisions()}
    return ("old" if known else "unknown"), found, wanted


def _upgrade(uri: str) -> None:
    """``mlflow db upgrade``, in this process: the address may hold a password, which a command line would show."""
    from mlflow.db import commands

    for name in ("mlflow", "alembic"):  # a line a step
        logging.getLogger(name).setLevel(logging.WARNING)
    commands.main(["upgrade", uri], standalone_mode=False)


def _sqlite_file_is_missing(uri: str) -> bool:
    url = _url(uri)
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file()


def _url(uri: str) -> URL:
    """The address in parts; shown as a string, its password is hidden."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(uri)
    except ArgumentError as error:
        raise StudyError(["data base: the address is none that SQLAlchemy understands."]) from error
