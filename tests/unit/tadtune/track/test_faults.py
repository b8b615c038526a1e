"""Kinds of failure and their budgets; one word per attempt, whoever of a group is first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
import torch

from tadtune.track.faults import RETRIES, WORDS, Attempt, Kind, kind_of_death, kind_of_exception, last_line, may_retry
from tadtune.track.record import Report, TrialRecord, attempt_of_death

NODE = """The actor died unexpectedly before finishing this task.
\tclass_name: InProcessTrial
\tip: 10.0.0.3
The actor died because its node has died. Node Id: 5a2f
\tthe actor's node was terminated unexpectedly: health check failed due to missing too many heartbeats"""
PROCESS = """The actor died unexpectedly before finishing this task.
\tclass_name: InProcessTrial
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker
unexpectedly exits with a connection error code 2. End of file. (1) The process is killed by SIGKILL by OOM killer due
to high memory usage. (2) ray stop --force is called. (3) The worker is crashed unexpectedly due to SIGSEGV."""
MEMORY = "Task was killed due to the node running low on memory.\nMemory on the node was 22.30GB / 23.00GB (0.969565)"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no"), "error"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "error"),
        (FloatingPointError("class = nan in phase 'only', epoch 1, step 1"), "not_finite"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), "gpu_memory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), "gpu_memory"),
        (MemoryError(), "host_memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "host_memory"),
    ],
)
def test_what_the_process_raised(error: Exception, kind: Kind) -> None:
    assert kind_of_exception(error) == kind


def test_an_allocation_that_torch_really_refuses_is_host_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert kind_of_exception(caught.value) == "host_memory"


@pytest.mark.parametrize(("text", "kind"), [(NODE, "machine"), (PROCESS, "process"), (MEMORY, "host_memory")])
def test_what_ray_says_of_the_dead(text: str, kind: Kind) -> None:
    assert kind_of_death(text) == kind


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_a_budget_of_its_own(kind: Kind) -> None:
    others: list[Kind] = [one for one in get_args(Kind) if one != kind] * 9
    allowed = 0
    while allowed < 50 and may_retry(kind, others + [kind] * allowed):
        allowed += 1
    assert allowed == min(RETRIES[kind], 50)
    assert WORDS[kind]
    assert (RETRIES["error"], RETRIES["gpu_memory"], RETRIES["machine"]) == (0, 1, math.inf)


def test_the_first_to_say_why_has_the_word(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path)
    first = Attempt(1, "gpu_memory", "CUDA out of memory", 1.0, "a", "Traceback")
    assert record.note(first)
    assert not record.note(Attempt(1, "process", "another", 2.0, "b", ""))
    assert record.note(Attempt(2, "machine", "gone", 3.0, "b", ""))
    assert [(a.number, a.kind) for a in record.attempts()] == [(1, "gpu_memory"), (2, "machine")]
    assert record.attempts()[0] == first
    assert [p.name for p in sorted((tmp_path / "attempts").iterdir())] == ["001.json", "002.json"]


def test_a_failed_result_keeps_traceback_kind_and_number(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path)
    record.append(Report(4, 0.0, {"select/avg_map": 0.9}, 12.0))
    record.fail(Attempt(3, "error", "ValueError: no", 7.0, "a", "Traceback\nValueError: no\n"))
    result = record.result()
    assert result is not None
    assert (result.status, result.kind, result.attempts, result.error) == (
        "failed", "error", 3, "Traceback\nValueError: no\n",
    )  # fmt: skip
    assert (result.objective, dict(result.metrics), result.epochs, result.seconds) == (None, {}, 4, 12.0)


def test_a_process_that_ran_out_of_time_left_its_traceback(tmp_path: Path) -> None:
    record = TrialRecord(tmp_path)
    assert attempt_of_death(record, 1, NODE).kind == "machine"
    record.timeout.write_text("")  # the limit was set, and another reason came first
    assert attempt_of_death(record, 1, PROCESS).kind == "process"
    record.timeout.write_text('Timeout (0:00:05)!\nThread 0x1 (most recent call first):\n  File "x.py", line 3 in f\n')
    attempt = attempt_of_death(record, 2, PROCESS)
    assert (attempt.kind, attempt.number) == ("timeout", 2)
    assert "resources.timeout" in attempt.reason
    assert 'File "x.py", line 3 in f' in attempt.error
    assert last_line(record.fail(attempt).error or "") == attempt.reason
