"""Following a log over connections that drop: every character once, whatever the network does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tadtune.jobs.cluster import ConnectionLostError
from tadtune.jobs.follow import follow
from tadtune.jobs.identity import JobState
from tadtune.spec.errors import StudyError


@dataclass
class FakeJob:
    """A job whose log is served as Ray serves it: from its start at every connection, in pieces.

    Attributes:
        text: the whole log.
        drops: at each connection, after how many characters it is cut; when used up, connections last.
        piece: length of a piece.
        away: connections after which the job is still running although its log has been served.
        quiet: a dropped connection ends as if the log were at its end.
    """

    text: str
    drops: list[int] = field(default_factory=list)
    piece: int = 7
    away: int = 0
    quiet: bool = False
    status: str = "SUCCEEDED"
    connections: int = 0

    async def tail(self, job_id: str) -> AsyncIterator[str]:
        self.connections += 1
        end = self.drops.pop(0) if self.drops else None
        served = self.text[:end]
        for start in range(0, len(served), self.piece):
            yield served[start : start + self.piece]
        if end is not None and not self.quiet:
            raise ConnectionLostError(["the tunnel closed"])

    def log(self, job_id: str) -> str:
        return self.text

    def state(self, job_id: str) -> JobState:
        if self.drops or self.connections <= self.away:
            return JobState(job_id, "RUNNING", {})
        return JobState(job_id, self.status, {})


def followed(job: FakeJob, patience_s: float = 60.0) -> tuple[str, list[str], JobState]:
    written: list[str] = []
    notices: list[str] = []
    state = asyncio.run(
        follow(job, "j", written.append, notices.append, waits_s=(0.0,), patience_s=patience_s)  # type: ignore[arg-type]
    )
    return "".join(written), notices, state


@given(
    text=st.text(alphabet="ab\né", max_size=60),
    drops=st.lists(st.integers(0, 70), max_size=5),
    piece=st.integers(1, 13),
    quiet=st.booleans(),
)
def test_every_character_once_over_any_drops(text: str, drops: list[int], piece: int, quiet: bool) -> None:
    written, _, state = followed(FakeJob(text, list(drops), piece, quiet=quiet))
    assert written == text
    assert state.status == "SUCCEEDED"


def test_a_drop_is_told_once_and_so_is_the_way_back() -> None:
    written, notices, _ = followed(FakeJob("one\ntwo\nthree\n", drops=[5, 0, 0], away=3))
    assert written == "one\ntwo\nthree\n"
    assert notices == ["connection lost (the tunnel closed); trying again, the job goes on.", "connected again."]


def test_an_undisturbed_log_needs_one_connection_and_no_words() -> None:
    job = FakeJob("done\n")
    assert followed(job)[1] == []
    assert job.connections == 1


def test_what_came_after_the_last_piece_is_fetched() -> None:
    class CutShort(FakeJob):
        async def tail(self, job_id: str) -> AsyncIterator[str]:
            self.connections += 1
            yield self.text[:4]

    assert followed(CutShort("one\nlast words"))[0] == "one\nlast words"


def test_a_job_that_runs_on_after_its_log_was_served_is_followed_on() -> None:
    job = FakeJob("x\n", away=3, status="FAILED")
    written, _, state = followed(job)
    assert (written, state.status, job.connections) == ("x\n", "FAILED", 4)


def test_without_a_stream_the_log_is_asked_for() -> None:
    """A proxy that lets no websocket through."""

    class Growing(FakeJob):
        async def tail(self, job_id: str) -> AsyncIterator[str]:
            self.connections += 1
            raise ConnectionLostError(["426 Upgrade Required"])
            yield ""

        def log(self, job_id: str) -> str:
            return self.text[: 4 * self.connections]

    written: list[str] = []
    job = Growing("one\ntwo\nsix\n", away=3)
    asyncio.run(follow(job, "j", written.append, str, waits_s=(0.0,)))
    assert written == ["one\n", "two\n", "six\n"]


def test_patience_begins_when_nobody_answers_not_when_the_log_fell_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("tadtune.jobs.follow.monotonic", lambda: clock[0])

    class Silent(FakeJob):
        """An epoch of ten hours without a line, then a drop and two questions that nobody answers."""

        unanswered = 2

        async def tail(self, job_id: str) -> AsyncIterator[str]:
            self.connections += 1
            if self.connections == 1:
                yield "begin\n"
                clock[0] += 36000.0
            if self.unanswered:
                raise ConnectionLostError(["closed"])
            yield self.text

        def state(self, job_id: str) -> JobState:
            if self.unanswered:
                self.unanswered -= 1
                clock[0] += 8.0
                raise ConnectionLostError(["refused"])
            return super().state(job_id)

    written, notices, _ = followed(Silent("begin\nend\n"), patience_s=9.0)
    assert written == "begin\nend\n"
    assert len(notices) == 2
    with pytest.raises(StudyError, match="no answer"):
        followed(Silent("begin\nend\n"), patience_s=7.0)


def test_a_cluster_that_stays_away_ends_the_following_not_the_job() -> None:
    class Gone(FakeJob):
        async def tail(self, job_id: str) -> AsyncIterator[str]:
            raise ConnectionLostError(["http://h:1: refused"])
            yield ""

        def state(self, job_id: str) -> JobState:
            raise ConnectionLostError(["http://h:1: refused"])

    with pytest.raises(StudyError, match=r"j: no answer for 0 minutes \(http://h:1: refused\).*`tadtune jobs logs j`"):
        followed(Gone("x"), patience_s=1e-3)


def test_leaving_does_not_wait_for_an_answer() -> None:
    silence, asked = threading.Event(), threading.Event()

    class Silent(FakeJob):
        def state(self, job_id: str) -> JobState:
            asked.set()
            silence.wait(60)
            return super().state(job_id)

    async def leave() -> None:
        following = asyncio.create_task(follow(Silent("x\n"), "j", str, str))  # type: ignore[arg-type]
        while not asked.is_set():
            await asyncio.sleep(0.01)
        following.cancel()
        await asyncio.wait([following])

    began = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - began < 30
    silence.set()


def test_a_job_that_the_cluster_forgot_is_said_at_once() -> None:
    class Forgotten(FakeJob):
        def state(self, job_id: str) -> JobState:
            raise StudyError([f"{job_id}: no such job"])

    with pytest.raises(StudyError, match="j: no such job"):
        followed(Forgotten("x", drops=[1]))
