"""The command line: verbs only. Heavy libraries are imported by the verb that needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tadtune.jobs import verbs as job_verbs
from tadtune.spec import components
from tadtune.spec.errors import StudyError
from tadtune.track.mlflow_tracking import verbs as server_verbs

if TYPE_CHECKING:
    from tadtune.spec.study import Study

app = typer.Typer(
    name="tadtune",
    help="Hyper-parameter search and ablation statistics for temporal action detection.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Storage = Annotated[
    str, typer.Option(envvar="TADTUNE_STORAGE", help="Folder of all studies' records, or s3://bucket/prefix.")
]
DataRoot = Annotated[Path, typer.Option("--data", envvar="TADTUNE_DATA", help="Folder of data sets.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's address; default: a SQLite file in the storage."),
]
Address = Annotated[str | None, typer.Option(help="A running Ray cluster; default: RAY_ADDRESS, else this machine.")]
StudyName = Annotated[str, typer.Argument(help="A study file, or the name of a built-in study.")]


@app.command()
def run(
    studies: Annotated[list[str], typer.Argument(help="Study files or names of built-in studies, run in this order.")],
    storage: Storage = "runs",
    data: DataRoot = Path("data"),
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Run studies, or what is left of them: the same command again resumes."""
    _run(studies, storage, data, tracking_uri, address)


@app.command()
def resume(
    studies: Annotated[list[str], typer.Argument(help="Study files or names of built-in studies.")],
    storage: Storage = "runs",
    data: DataRoot = Path("data"),
    tracking_uri: TrackingUri = None,
    address: Address = None,
    only: Annotated[
        str | None, typer.Option(help="`failed`: repeat the trials that failed, from their checkpoints, nothing else.")
    ] = None,
) -> None:
    """Run what is left of studies that have been started."""
    from tadtune.track.storage import study_folder

    if only not in (None, "failed"):
        raise StudyError([f"--only: '{only}' is not one of the choices; `failed` is the only one."])
    for name in studies:
        folder = study_folder(storage, _load(name).slug)
        folder.update()
        if not folder.records():
            raise StudyError([f"{folder.path}: no trial has started yet; `tadtune run {name}` starts them."])
    _run(studies, storage, data, tracking_uri, address, only_failed=only == "failed")


def _run(
    studies: list[str],
    storage: str,
    data: Path,
    tracking_uri: str | None,
    address: str | None,
    *,
    only_failed: bool = False,
) -> None:
    from rich.console import Console

    from tadtune.conclusion import conclude
    from tadtune.report.terminal import print_report
    from tadtune.run.engine import Settings, run_study

    console = Console()
    loaded = [_load(name) for name in studies]
    settings = Settings(storage, data, tracking_uri, address, only_failed)
    failed = False
    for study in loaded:
        outcome = run_study(study, settings, console, conclude)
        if outcome.interrupted:
            if outcome.unstored:
                console.print(f"[yellow]{outcome.unstored}[/yellow]", soft_wrap=True)
            raise typer.Exit(130)
        print_report(study, outcome.folder, console)
        console.print(f"report: {outcome.folder.report / 'report.html'}", soft_wrap=True)
        failed = failed or outcome.counts.get("failed", 0) > 0
        if outcome.unstored:
            raise StudyError([f"storage: {outcome.unstored}"])
    if failed:
        raise typer.Exit(1)


@app.command()
def plan(study: StudyName, storage: Storage = "runs") -> None:
    """Show a study's trials, what is done, what the rest costs and what differences it can resolve."""
    from rich.console import Console

    from tadtune.planview import print_plan

    print_plan(_load(study), storage, Console())


@app.command()
def report(study: StudyName, storage: Storage = "runs") -> None:
    """Write the study's report (HTML, Markdown, CSV) from its records and show its table."""
    from rich.console import Console

    from tadtune.report import write_reports
    from tadtune.report.terminal import print_report
    from tadtune.track.storage import study_folder

    loaded = _load(study)
    folder = study_folder(storage, loaded.slug)
    folder.update()
    if not folder.records():
        raise StudyError([f"{folder.path}: no trial has started yet; `tadtune run {study}` starts them."])
    console = Console()
    print_report(loaded, folder, console)
    for path in write_reports(loaded, folder).values():
        console.print(str(path), soft_wrap=True)


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="A detector, task, data set or protocol.")],
) -> None:
    """Show every field of a component: symbol, default, search range, source, and when it acts."""
    from rich.console import Console

    from tadtune.describe import print_fields

    print_fields(name, Console())


@app.command(name="list")
def list_(
    what: Annotated[
        str,
        typer.Argument(
            help="studies, detectors, tasks, datasets, protocols, metrics, trainables, papers or combinations."
        ),
    ],
) -> None:
    """List what is installed; `combinations` prints the whole matrix with reasons."""
    from rich.console import Console

    from tadtune.describe import print_list

    print_list(what, Console())


@app.command()
def ui(
    storage: Storage = "runs",
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 5000,
) -> None:
    """Open MLflow's pages on this machine's studies (loopback only)."""
    from tadtune.track.mlflow_tracking.server import Server, serve
    from tadtune.track.storage import storage_folder

    raise typer.Exit(serve(Server(storage_folder(storage), port), typer.echo))


app.command()(job_verbs.submit)
app.add_typer(job_verbs.jobs)
app.add_typer(server_verbs.server)


def _load(name: str) -> Study:
    from tadtune.spec.parse import load_study
    from tadtune.spec.studies import find_study

    return load_study(find_study(name))


def _mount() -> None:
    """Verbs of other packages (``data``, ``eval``), by entry point."""
    for name in components.names("command"):
        verb = components.load("command", name)
        if isinstance(verb, typer.Typer):
            app.add_typer(verb, name=name)
        else:
            app.command(name)(verb)


def main() -> None:
    """Entry point of the console script."""
    from tadtune.spec.errors import StudyError

    try:
        _mount()
        app()
    except StudyError as error:
        for line in error.lines:
            typer.echo(f"error: {line}", err=True)
        sys.exit(2)
