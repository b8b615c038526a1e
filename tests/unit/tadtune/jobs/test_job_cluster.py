"""Connecting: whatever is wrong with an address is one line with the way out."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from answers import Answer, answering, greeting

from tadtune.jobs.cluster import ConnectionLostError, connect
from tadtune.spec.errors import StudyError


@pytest.fixture
def server() -> Iterator[tuple[str, type[Answer]]]:
    with answering() as found:
        yield found


@pytest.fixture(autouse=True)
def own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")  # connecting sets it: so that it is put back


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (401, b"", r"the cluster asks for a token \(401\); set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"),
        (403, b"", r"the cluster refuses this token \(403\); set RAY_AUTH_MODE=token"),
        (404, b"", r"answers 404, not as a Ray dashboard does; check the port"),
        (200, b"<html>mlflow</html>", r"answers, but not as a Ray dashboard does"),
        (200, b'{"version": "4"}', r"answers, but not as a Ray dashboard does"),
        (200, b"[]", r"answers, but not as a Ray dashboard does"),
        (200, b'{"ray_version": "2.40.0"}', r"the cluster runs Ray 2.40.0, this tadtune needs ray.*>=2.60"),
        (200, b'{"ray_version": "3.0.0.dev0"}', r"the cluster runs Ray 3.0.0.dev0, this tadtune needs ray.*<3"),
    ],
)
def test_what_answers_is_told(server: tuple[str, type[Answer]], status: int, body: bytes, complaint: str) -> None:
    address, answer = server
    answer.status, answer.body = status, body
    with pytest.raises(StudyError, match=f"^{address}: {complaint}") as caught:
        connect(address + "/")
    assert len(caught.value.lines) == 1
    assert "secret" not in str(caught.value)
    assert [authorization for _, authorization in answer.asked] == ["Bearer secret"]


def test_a_dashboard_that_falls_silent_is_not_waited_for_for_ever(
    server: tuple[str, type[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a tunnel whose far end has gone."""
    address, answer = server
    answer.body = b'{"ray_version": "2.60.0"}'
    monkeypatch.setattr("tadtune.jobs.cluster.ANSWER_S", 0.2)
    cluster = connect(address)
    silence = threading.Event()
    monkeypatch.setattr(answer, "do_GET", lambda self: silence.wait(20))
    for question in (cluster.jobs, lambda: cluster.state("j"), lambda: cluster.log("j")):
        with pytest.raises(ConnectionLostError, match=f"^{address}: .*Read timed out"):
            question()
    silence.set()


def test_an_error_of_the_dashboards_is_one_line(server: tuple[str, type[Answer]]) -> None:
    address, answer = server
    answer.body = b'{"ray_version": "2.60.0"}'
    cluster = connect(address)
    answer.status, answer.body = 503, b"upstream is away\nsecond line"
    for question in (cluster.jobs, lambda: cluster.state("j"), lambda: cluster.log("j"), lambda: cluster.stop("j")):
        with pytest.raises(ConnectionLostError, match=f"^{address}: Request failed with status code 503: up") as caught:
            question()
        assert "second line" not in str(caught.value)


def test_nobody_there(server: tuple[str, type[Answer]]) -> None:
    with pytest.raises(
        StudyError, match=r"^http://127.0.0.1:9: no Ray cluster answers \(.*refused\); .*ssh -N -L 8265"
    ):
        connect("http://127.0.0.1:9")


def test_who_speaks_something_else_is_told() -> None:
    with (
        greeting() as address,
        pytest.raises(StudyError, match=f"^{address}: answers, but not as a Ray dashboard does; check the port"),
    ):
        connect(address)


def test_a_port_that_is_no_number() -> None:
    with pytest.raises(StudyError, match=r"^address: 'http://head:dash' is none \(nonnumeric port: 'dash'\)"):
        connect("http://head:dash")


@pytest.mark.parametrize("address", ["head:8265", "ray://head:10001", "auto", ""])
def test_only_addresses_of_dashboards(address: str) -> None:
    with pytest.raises(StudyError, match=f"^address: '{address}' is no http"):
        connect(address)
