"""Submitting a study: checked here, uploaded once, never started twice."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

from tadtune.jobs.identity import CONTENT, JobState, job_metadata, launches, next_id, run_key
from tadtune.jobs.package import Package, select_files
from tadtune.plan.trial import digest
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Study
from tadtune.track.object_store.objects import below, is_address

#: How a job is stopped: the driver gets the signal it knows, and the time to end its trials and say how to resume.
STOP_ENVIRONMENT = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "30"}


@dataclass(frozen=True)
class Launch:
    """How a study is run on the cluster.

    Attributes:
        storage: folder of all studies' records, the same on every node, or the address of an object store.
        data: folder of data sets, the same on every node.
        tracking_uri: MLflow's address as the cluster sees it, None = a file in ``storage``.
        installed: the cluster has this platform installed.
        packages: importable packages of this machine to take along.
        handed_on: names of variables of this machine that the job gets.
    """

    storage: str
    data: str
    tracking_uri: str | None = None
    installed: bool = False
    packages: Sequence[str] = ()
    handed_on: Sequence[str] = ()

    def check(self) -> None:
        """Refuse what cannot work on another machine.

        Raises:
            StudyError: a folder is not given from the root, a variable is not set here, or an address holds a password.
        """
        lines = [
            f"{option}: '{path}' would lie in the job's own folder, which the cluster deletes; give the full path of "
            "a folder that every node reaches."
            for option, path in (("--storage", self.storage), ("--data", self.data))
            if not PurePosixPath(path).is_absolute() and not (option == "--storage" and is_address(path))
        ]
        if urlsplit(self.tracking_uri or "").password:
            lines.append(
                "--tracking-uri: holds a password, which the job's command would show; take it out, and let the "
                "cluster's nodes have it as MLFLOW_TRACKING_PASSWORD (PGPASSWORD for PostgreSQL)."
            )
        lines += [f"--env: {name} is not set here." for name in self.handed_on if name not in os.environ]
        if lines:
            raise StudyError(lines)

    def command(self, study_file: str) -> str:
        """The job's command line; run again, it resumes."""
        words = ["python", "-m", "tadtune", "run", study_file, "--storage", self.storage, "--data", self.data]
        words += ["--tracking-uri", self.tracking_uri] if self.tracking_uri else []
        return f"exec {shlex.join(words)}"

    def records(self, slug: str) -> str:
        """Where a study's records are."""
        return below(self.storage, slug) if is_address(self.storage) else str(PurePosixPath(self.storage) / slug)

    def environment(self) -> dict[str, str]:
        """Variables of the job."""
        return STOP_ENVIRONMENT | {name: os.environ[name] for name in self.handed_on}


class JobBoard(Protocol):
    """What submitting asks of a cluster; :class:`tadtune.jobs.cluster.Cluster` is one."""

    address: str

    def jobs(self) -> list[JobState]:
        """Every submitted job."""

    def submit(self, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str], job_id: str) -> None:
        """Upload and start."""


def prepare(study_file: Path, study: Study, launch: Launch) -> Package:
    """What will be uploaded, after every check that needs no cluster.

    Raises:
        StudyError: something cannot work there.
    """
    launch.check()
    package = select_files(study_file, study, installed=launch.installed, modules=launch.packages)
    package.check_size()
    return package


def submit_study(
    board: JobBoard, study_file: Path, study: Study, launch: Launch, package: Package, say: Callable[[str], object]
) -> str:
    """Start the study's next job, or find the one that runs.

    Returns:
        Submission id of the job that runs the study now.

    Raises:
        StudyError: another version of the study runs, or the cluster refuses.
    """
    folder = launch.records(study.slug)
    content = digest({"study": study_file.read_text(encoding="utf-8"), "command": launch.command(study_file.name)})
    carried = job_metadata(study.name, folder, content)
    earlier = launches(board.jobs(), run_key(study.name, folder))
    running = _running(earlier, content)
    if running is None:
        job_id = next_id(study.slug, run_key(study.name, folder), earlier)
        say(f"upload: {package.num_files} files, {package.num_bytes / (1 << 20):.2f} MiB, to {board.address}")
        try:
            _start(board, study_file, launch, package, carried, job_id)
        except FileExistsError:  # somebody submitted the same run meanwhile
            running = _running(launches(board.jobs(), run_key(study.name, folder)), content)
            if running is None:
                raise StudyError([f"{job_id}: another submission took this id and has ended; submit again."]) from None
        else:
            say(f"{job_id}: submitted; records in {folder}" + (f", resumes {earlier[-1].id}" if earlier else ""))
            return job_id
    say(f"{running.id}: runs this study already; nothing was submitted.")
    return running.id


def _running(earlier: Sequence[JobState], content: str) -> JobState | None:
    """The job of the run that has not ended.

    Raises:
        StudyError: it was submitted with another study file or other options.
    """
    for job in earlier:
        if job.ended:
            continue
        if job.metadata.get(CONTENT) != content:
            raise StudyError(
                [
                    f"{job.id}: runs this study with other content or options; let it end, or `tadtune jobs stop "
                    f"{job.id}`, then submit again."
                ]
            )
        return job
    return None


def _start(
    board: JobBoard, study_file: Path, launch: Launch, package: Package, carried: Mapping[str, str], job_id: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="tadtune-submit-") as scratch:
        package.write(Path(scratch))
        runtime_env = {"working_dir": scratch, "env_vars": launch.environment()}
        board.submit(launch.command(study_file.name), runtime_env, carried, job_id)
