"""``tadtune server``; MLflow is imported when it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tadtune.spec.errors import StudyError

server = typer.Typer(name="server", help="A tracking server for more than one machine.", no_args_is_help=True)


@server.callback()
def _group() -> None:
    """A tracking server for more than one machine."""


@server.command()
def up(
    storage: Annotated[
        Path, typer.Option(envvar="TADTUNE_STORAGE", help="Folder of all studies' records; artifacts lie there.")
    ] = Path("runs"),
    backend: Annotated[
        str | None,
        typer.Option(
            envvar="MLFLOW_BACKEND_STORE_URI",
            help="The data base, e.g. postgresql://user@host/mlflow; default: a SQLite file in the storage.",
            show_envvar=True,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to bind. Beyond loopback the server asks for accounts.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="A name that clients and browsers call the server by, without port.")
    ] = None,
    migrate: Annotated[
        bool,
        typer.Option("--migrate", help="Change an older MLflow's data base to this one's schema; back it up first."),
    ] = False,
    check: Annotated[
        str | None, typer.Option(metavar="URL", help="Start nothing; say what is wrong with this tracking address.")
    ] = None,
) -> None:
    """Start a tracking server, check it and run it until it is stopped."""
    if check is not None:
        from tadtune.track.mlflow_tracking.check import tracking_problem

        problem = tracking_problem(check)
        if problem:
            raise StudyError([f"tracking: {problem}"])
        typer.echo(f"{check} is ready for studies.")
        return
    from tadtune.track.mlflow_tracking.server import Server, serve

    raise typer.Exit(
        serve(Server(storage, port, host, backend, tuple(allowed_host or ())), typer.echo, migrate=migrate)
    )
