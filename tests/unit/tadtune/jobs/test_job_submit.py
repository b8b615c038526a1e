"""Submitting: checked before the upload, told instead of doubled, resumed under the next id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tadtune.jobs.identity import JobState
from tadtune.jobs.stopping import stop_job
from tadtune.jobs.submit import STOP_ENVIRONMENT, Launch, prepare, submit_study
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from tadtune.spec.study import Study

ROOT = Path(__file__).resolve().parents[4]


class FakeCluster:
    """Remembers jobs as Ray does: an id is taken for ever."""

    address = "http://cluster:8265"

    def __init__(self) -> None:
        self.known: dict[str, JobState] = {}
        self.uploads: list[set[str]] = []
        self.entrypoint = ""
        self.variables: Mapping[str, str] = {}
        self.stops = 0
        self.stops_needed = 1
        self.hidden: set[str] = set()

    def jobs(self) -> list[JobState]:
        return [job for job in self.known.values() if job.id not in self.hidden]

    def submit(self, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str], job_id: str) -> None:
        if job_id in self.known:
            self.hidden.clear()
            raise FileExistsError(job_id)
        folder = Path(runtime_env["working_dir"])
        self.uploads.append({p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()})
        self.entrypoint, self.variables = entrypoint, runtime_env["env_vars"]
        self.known[job_id] = JobState(job_id, "PENDING", dict(metadata), started_ms=len(self.known))

    def end(self, job_id: str, status: str) -> None:
        self.known[job_id] = JobState(job_id, status, self.known[job_id].metadata)

    def state(self, job_id: str) -> JobState:
        return self.known[job_id]

    def stop(self, job_id: str) -> None:
        self.stops += 1
        if self.stops >= self.stops_needed:
            self.end(job_id, "STOPPED")

    def log(self, job_id: str) -> str:
        return "".join(f"line {n}\n\n" for n in range(9))


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def study_file(tmp_path: Path, toy_sweep: dict[str, Any]) -> Path:
    path = tmp_path / "my study.yaml"
    path.write_text(yaml.safe_dump(toy_sweep))
    return path


LAUNCH = Launch("/shared/runs", "/shared/data", installed=True)


class Person:
    """Submits the study file as it is now."""

    def __init__(self, cluster: FakeCluster, file: Path) -> None:
        self.cluster, self.file = cluster, file
        self.told: list[str] = []

    @property
    def study(self) -> Study:
        return parse_study(yaml.safe_load(self.file.read_text()))

    def submit(self, launch: Launch = LAUNCH) -> str:
        package = prepare(self.file, self.study, launch)
        return submit_study(self.cluster, self.file, self.study, launch, package, self.told.append)


@pytest.fixture
def person(cluster: FakeCluster, study_file: Path) -> Person:
    return Person(cluster, study_file)


def test_the_first_submission(cluster: FakeCluster, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", "t")
    launch = Launch("/shared/runs", "/shared/data", "http://mlflow:5000", installed=True, handed_on=("LAB_TOKEN",))
    job_id = person.submit(launch)
    assert job_id.startswith("toy__sweep-")
    assert job_id.endswith("-1")
    assert cluster.entrypoint == (
        "exec python -m tadtune run 'my study.yaml' --storage /shared/runs --data /shared/data "
        "--tracking-uri http://mlflow:5000"
    )
    assert cluster.variables == {**STOP_ENVIRONMENT, "LAB_TOKEN": "t"}
    declared = {f"tadtune_toy-1.0.dist-info/{name}" for name in ("METADATA", "entry_points.txt")}
    assert cluster.uploads == [{"my study.yaml", "tadtune_toy.py", *declared}]
    assert person.told[0].startswith("upload: 4 files, 0.01 MiB, to http://cluster:8265")
    assert person.told[1].endswith("submitted; records in /shared/runs/toy__sweep")
    assert cluster.known[job_id].metadata["tadtune.folder"] == "/shared/runs/toy__sweep"


def test_a_running_job_is_told_not_doubled(cluster: FakeCluster, person: Person) -> None:
    first = person.submit()
    assert person.submit() == first
    assert person.told[-1] == f"{first}: runs this study already; nothing was submitted."
    assert len(cluster.uploads) == 1


@pytest.mark.parametrize("status", ["STOPPED", "FAILED", "SUCCEEDED"])
def test_an_ended_job_is_resumed_under_the_next_id(cluster: FakeCluster, person: Person, status: str) -> None:
    first = person.submit()
    cluster.end(first, status)
    second = person.submit()
    assert second == first[:-1] + "2"
    assert person.told[-1].endswith(f"resumes {first}")


def test_another_storage_is_another_run(cluster: FakeCluster, person: Person) -> None:
    first = person.submit()
    other = person.submit(Launch("/elsewhere", "/shared/data", installed=True))
    assert first != other
    assert other.endswith("-1")


def test_records_may_go_to_an_object_store(cluster: FakeCluster, person: Person) -> None:
    address = "s3://bucket/runs?endpoint_override=store:9000&scheme=http"
    job_id = person.submit(Launch(address, "/shared/data", installed=True))
    assert f"--storage '{address}' --data" in cluster.entrypoint
    folder = "s3://bucket/runs/toy__sweep?endpoint_override=store:9000&scheme=http"
    assert cluster.known[job_id].metadata["tadtune.folder"] == folder
    with pytest.raises(StudyError, match="--data: 's3://bucket/data' would lie"):
        person.submit(Launch(address, "s3://bucket/data", installed=True))


def test_a_changed_study_does_not_pass_for_the_one_that_runs(
    cluster: FakeCluster, person: Person, toy_sweep: dict[str, Any]
) -> None:
    first = person.submit()
    person.file.write_text(yaml.safe_dump({**toy_sweep, "budget": {"trials": 20}}))
    with pytest.raises(StudyError, match=f"{first}: runs this study with other content.*`tadtune jobs stop {first}`"):
        person.submit()
    cluster.end(first, "STOPPED")
    assert person.submit().endswith("-2")


def test_two_people_at_the_same_moment(cluster: FakeCluster, person: Person) -> None:
    first = person.submit()
    cluster.hidden = {first}  # the list was read before the other submission arrived
    assert person.submit() == first
    assert len(cluster.uploads) == 1


@pytest.mark.parametrize(
    ("launch", "complaints"),
    [
        (Launch("runs", "/d"), ["--storage: 'runs' would lie in the job's own folder"]),
        (Launch("/r", "./data"), ["--data: './data' would lie"]),
        (Launch("/r", "/d", "http://me:geheim@mlflow:5000"), ["--tracking-uri: holds a password, which the job's"]),
        (
            Launch("runs", "data", handed_on=("NOT_SET_HERE",)),
            ["--storage", "--data", "--env: NOT_SET_HERE is not set"],
        ),
    ],
)
def test_what_cannot_work_there_is_refused_here(
    cluster: FakeCluster, person: Person, launch: Launch, complaints: list[str]
) -> None:
    with pytest.raises(StudyError) as caught:
        person.submit(launch)
    assert all(complaint in line for complaint, line in zip(complaints, caught.value.lines, strict=True))
    assert not cluster.known


def test_plain_ray_job_submit_stops_the_same_way() -> None:
    written = yaml.safe_load((ROOT / "cluster" / "job.yaml").read_text(encoding="utf-8"))
    assert written["env_vars"] == STOP_ENVIRONMENT


def test_stopping_waits_and_says_what_can_be_resumed(cluster: FakeCluster, person: Person) -> None:
    job_id = person.submit()
    cluster.stops_needed = 3  # a pending job has nobody who hears the first
    told: list[str] = []
    assert stop_job(cluster, job_id, told.append, poll_s=0.0).status == "STOPPED"
    assert told[:5] == ["  line 5", "  line 6", "  line 7", "  line 8", f"{job_id}: STOPPED."]
    assert "are in /shared/runs/toy__sweep on the cluster; `tadtune submit` of toy/sweep" in told[5]
    assert stop_job(cluster, job_id, told.append).status == "STOPPED"
    assert told[-1] == f"{job_id}: has ended already (STOPPED)."
    assert cluster.stops == 3


def test_a_job_that_does_not_stop_is_said(cluster: FakeCluster, person: Person) -> None:
    job_id = person.submit()
    cluster.stops_needed = 10**9
    with pytest.raises(StudyError, match=f"{job_id}: PENDING 0 s after it was asked to stop"):
        stop_job(cluster, job_id, str, timeout_s=0.0, poll_s=0.0)
