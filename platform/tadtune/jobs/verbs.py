"""``tadtune submit`` and ``tadtune jobs``; Ray is imported when a verb runs."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tadtune.jobs.cluster import Cluster

jobs = typer.Typer(name="jobs", help="Studies that were submitted to a cluster.", no_args_is_help=True)

Address = Annotated[
    str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="Of the cluster's dashboard; loopback through a tunnel.")
]
JobId = Annotated[str, typer.Argument(help="A job's id, as `tadtune jobs list` shows it.")]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Write the job's log until it ends.")]
LOOPBACK = "http://127.0.0.1:8265"


def submit(
    study: Annotated[str, typer.Argument(help="A study file, or the name of a built-in study.")],
    storage: Annotated[
        str, typer.Option(envvar="TADTUNE_STORAGE", help="Folder of all studies' records, on every node the same.")
    ],
    data: Annotated[str, typer.Option(envvar="TADTUNE_DATA", help="Folder of data sets, on every node the same.")],
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow's address as the cluster sees it; default: a SQLite file in the storage."),
    ] = None,
    address: Address = LOOPBACK,
    follow: Follow = True,
    installed: Annotated[
        bool, typer.Option("--installed", help="The cluster has tadtune installed: upload the study alone.")
    ] = False,
    package: Annotated[
        list[str] | None,
        typer.Option(help="A package of yours to take along, beside those whose components the study names."),
    ] = None,
    env: Annotated[list[str] | None, typer.Option(help="Name of a variable of this machine that the job gets.")] = None,
) -> None:
    """Run a study on a cluster, or what is left of it: the same command again resumes, or follows what runs."""
    from tadtune.jobs.cluster import connect
    from tadtune.jobs.submit import Launch, prepare, submit_study
    from tadtune.spec.parse import load_study
    from tadtune.spec.studies import find_study

    path = find_study(study)
    loaded = load_study(path)
    launch = Launch(storage, data, tracking_uri, installed, tuple(package or ()), tuple(env or ()))
    package_files = prepare(path, loaded, launch)
    cluster = connect(address)
    job_id = submit_study(cluster, path, loaded, launch, package_files, typer.echo)
    if follow:
        raise typer.Exit(_follow(cluster, job_id))
    typer.echo(f"follow it with `tadtune jobs logs {job_id}`, stop it with `tadtune jobs stop {job_id}`.")


@jobs.command("list")
def list_(address: Address = LOOPBACK) -> None:
    """Show the cluster's jobs that run or ran a study."""
    from rich.console import Console

    from tadtune.jobs.cluster import connect
    from tadtune.jobs.table import jobs_table

    Console().print(jobs_table(connect(address).jobs()))


@jobs.command()
def logs(job: JobId, address: Address = LOOPBACK, follow: Follow = True) -> None:
    """Write a job's log; when followed to its end, the exit code is the job's."""
    from tadtune.jobs.cluster import connect

    cluster = connect(address)
    if follow:
        raise typer.Exit(_follow(cluster, job))
    cluster.state(job)  # no log is not no job
    sys.stdout.write(cluster.log(job))


@jobs.command()
def stop(job: JobId, address: Address = LOOPBACK) -> None:
    """Stop a job, wait for its end and say what can be resumed."""
    from tadtune.jobs.cluster import connect
    from tadtune.jobs.stopping import stop_job

    stop_job(connect(address), job, typer.echo)


def _follow(cluster: Cluster, job_id: str) -> int:
    """Exit code of the job; Ctrl-C leaves the job alone."""
    from tadtune.jobs.follow import follow

    def write(piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    def notice(text: str) -> None:
        typer.echo(f"{job_id}: {text}", err=True)

    try:
        state = asyncio.run(follow(cluster, job_id, write, notice))
    except KeyboardInterrupt:
        notice(f"goes on. `tadtune jobs logs {job_id}` follows it again, `tadtune jobs stop {job_id}` stops it.")
        return 130
    message = f" ({state.message.splitlines()[0]})" if state.status == "FAILED" and state.message else ""
    typer.echo(f"{job_id}: {state.status}{message}")
    return state.shell_code()
