"""Why an attempt at a trial ended without a result, and how often each reason is tried again.

Each kind has a budget of its own in one launch: a machine that is lost says nothing about the trial, an error of the
trial's own code says everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["error", "not_finite", "gpu_memory", "host_memory", "timeout", "process", "machine"]

#: Times an attempt that ended so is followed by another one, in one launch.
RETRIES: dict[Kind, float] = {
    "error": 0,
    "not_finite": 0,
    "timeout": 0,
    "gpu_memory": 1,
    "host_memory": 1,
    "process": 3,
    "machine": math.inf,
}

#: What a person reads.
WORDS: dict[Kind, str] = {
    "error": "error of its own code",
    "not_finite": "a loss was not finite",
    "timeout": "out of time",
    "gpu_memory": "out of GPU memory",
    "host_memory": "out of host memory",
    "process": "process died",
    "machine": "machine lost or preempted",
}

# What Ray writes about an actor that died; all lower case.
_MACHINE = ("node has died", "node was terminated", "node is dead", "preempt", "temporarily unavailable", "draining")
_HOST_MEMORY = ("running low on memory", "memory monitor")


@dataclass(frozen=True)
class Attempt:
    """An attempt at a trial that ended without a result.

    Attributes:
        number: from 1, all launches together.
        kind: why it ended.
        reason: the same in one line.
        ended_at: Unix time.
        host: name of the machine that noticed.
        error: traceback, or what Ray says of the process.
    """

    number: int
    kind: Kind
    reason: str
    ended_at: float
    host: str
    error: str


def may_retry(kind: Kind, earlier: Sequence[Kind]) -> bool:
    """Whether an attempt that ended so is followed by another one.

    Args:
        kind: how it ended.
        earlier: how the trial's earlier attempts of this launch ended.
    """
    return sum(one == kind for one in earlier) < RETRIES[kind]


def kind_of_exception(error: BaseException) -> Kind:
    """The kind of an exception that the trial's own process raised."""
    text = str(error)
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(error).__mro__}
    if isinstance(error, FloatingPointError):
        return "not_finite"
    if "torch.OutOfMemoryError" in names or "CUDA error: out of memory" in text:
        return "gpu_memory"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in text:
        return "host_memory"
    return "error"


def kind_of_death(text: str) -> Kind:
    """The kind of death of a process that could not say itself, from what Ray says of it."""
    said = text.lower()
    if any(word in said for word in _MACHINE):
        return "machine"
    return "host_memory" if any(word in said for word in _HOST_MEMORY) else "process"


def last_line(text: str) -> str:
    """The last line that says something, "" where none does."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
