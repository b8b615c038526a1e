"""Which job runs which study, and what its end means to a shell."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tadtune.jobs.identity import JobState, job_metadata, launches, next_id, ours, run_key
from tadtune.jobs.table import jobs_table


def job(job_id: str, run: str, status: str = "RUNNING", started_ms: int = 0) -> JobState:
    return JobState(job_id, status, {**job_metadata("a/b", "/s/a__b", "c"), "tadtune.run": run}, started_ms)


def test_a_run_is_a_study_in_a_folder() -> None:
    keys = {run_key(study, folder) for study in ("a/b", "a/c") for folder in ("/s", "/t")}
    assert len(keys) == 4
    assert run_key("a/b", "/s") == "9655cb12"  # a job submitted by an earlier version is found again


@given(st.permutations(range(1, 13)))
def test_the_next_id_counts_on_whatever_the_order(order: list[int]) -> None:
    jobs = [job(f"a__b-k-{n}", "k") for n in order]
    assert next_id("a__b", "k", jobs) == "a__b-k-13"
    assert [j.id for j in launches([*jobs, job("other-1", "l")], "k")] == [f"a__b-k-{n}" for n in range(1, 13)]


def test_the_first_id() -> None:
    assert next_id("a__b", "k", []) == "a__b-k-1"


@pytest.mark.parametrize(
    ("status", "driver", "code"),
    [
        ("SUCCEEDED", 0, 0),
        ("STOPPED", None, 130),
        ("FAILED", 2, 2),
        ("FAILED", -9, 137),
        ("FAILED", None, 1),  # no driver ever ran: the runtime environment could not be set up, the node was lost
        ("FAILED", 0, 1),
    ],
)
def test_the_exit_code_is_the_jobs_outcome(status: str, driver: int | None, code: int) -> None:
    assert JobState("j", status, {}, exit_code=driver).shell_code() == code


def test_the_table_shows_this_platforms_jobs_latest_first() -> None:
    mine = [job("a__b-k-1", "k", "STOPPED", 1000), job("a__b-k-2", "k", "RUNNING", 2000)]
    theirs = JobState("raysubmit_x", "RUNNING", {"job_name": "x"})
    assert [j.id for j in ours([*mine, theirs])] == ["a__b-k-2", "a__b-k-1"]
    console = Console(file=io.StringIO(), width=140)
    console.print(jobs_table([*mine, theirs]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line.split() for line in shown.splitlines()]
    assert rows[1][:3] == ["a__b-k-2", "a/b", "running"]
    assert rows[1][-1] == "/s/a__b"
    assert rows[2][:3] == ["a__b-k-1", "a/b", "stopped"]
    assert "raysubmit_x" not in shown
    assert "1 other job(s) on this cluster are not tadtune's" in shown
