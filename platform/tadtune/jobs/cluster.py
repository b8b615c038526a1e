"""A cluster's jobs over the dashboard's address: every failure is one line with the way out."""

from __future__ import annotations

import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from importlib.metadata import requires
from pathlib import Path
from typing import Any, TypeVar

from tadtune.jobs.identity import JobState
from tadtune.ray_token import HOW_TO_SET, find_token
from tadtune.spec.errors import StudyError

T = TypeVar("T")

#: Seconds within which a dashboard says what it is.
HELLO_S = 10.0
#: Seconds within which a dashboard answers any other question.
ANSWER_S = 60.0
#: Seconds between two signs of life on the connection that carries the log.
HEARTBEAT_S = 20.0
#: Loggers that tell every upload in Ray's own terms; what is uploaded has been said by then.
_TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")


class ConnectionLostError(StudyError):
    """The cluster did not answer this time; it may the next."""


class Cluster:
    """The jobs of one cluster. Made by :func:`connect`.

    Args:
        client: Ray's.
        address: of the dashboard.
        headers: of every request.
    """

    def __init__(self, client: Any, address: str, headers: Mapping[str, str]) -> None:
        self._client = client
        self._headers = dict(headers)
        self.address = address

    def jobs(self) -> list[JobState]:
        """Every submitted job that the cluster remembers."""
        return [_state(details) for details in self._ask_again_later(self._client.list_jobs) if details.submission_id]

    def submit(self, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str], job_id: str) -> None:
        """Upload what the runtime environment names and start the job.

        Raises:
            FileExistsError: a job of that id is there already.
            StudyError: the cluster refuses.
        """
        try:
            self._ask(
                lambda: self._client.submit_job(
                    entrypoint=entrypoint, runtime_env=dict(runtime_env), metadata=dict(metadata), submission_id=job_id
                )
            )
        except RuntimeError as error:
            if "already exists" in str(error):
                raise FileExistsError(job_id) from error
            raise StudyError([f"{self.address}: the cluster refuses the job: {_first_line(error)}"]) from error

    def stop(self, job_id: str) -> None:
        """Ask the job to stop; returns at once."""
        self._ask_again_later(lambda: self._client.stop_job(job_id))

    def state(self, job_id: str) -> JobState:
        """What has become of a job.

        Raises:
            StudyError: the cluster knows no such job.
            ConnectionLostError: it does not answer.
        """
        try:
            return _state(self._ask(lambda: self._client.get_job_info(job_id)))
        except RuntimeError as error:
            if "status code 404" in str(error):
                raise StudyError(
                    [f"{job_id}: no such job at {self.address}; `tadtune jobs list` shows them."]
                ) from error
            raise ConnectionLostError([f"{self.address}: {_first_line(error)}"]) from error

    def log(self, job_id: str) -> str:
        """The whole log so far."""
        text: str = self._ask_again_later(lambda: self._client.get_job_logs(job_id))
        return text

    async def tail(self, job_id: str) -> AsyncIterator[str]:
        """The log from its first character and then as it grows, until the job ends or the connection does.

        Ray's own ``tail_job_logs`` waits for ever on a connection that died without a word (a closed laptop, a
        dropped tunnel); here both sides must show a sign of life every ``HEARTBEAT_S``.
        """
        import aiohttp

        address = f"{self.address}/api/jobs/{job_id}/logs/tail"
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, trust_env=True) as session,
                session.ws_connect(address, heartbeat=HEARTBEAT_S, max_msg_size=0) as stream,
            ):
                async for message in stream:
                    if message.type == aiohttp.WSMsgType.TEXT:
                        yield message.data
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ConnectionLostError([f"{self.address}: {_first_line(error)}"]) from error

    def _ask_again_later(self, question: Callable[[], T]) -> T:
        """Ask what cannot be refused: an error is the dashboard's own trouble, or that of the node that has the log."""
        try:
            return self._ask(question)
        except RuntimeError as error:
            raise ConnectionLostError([f"{self.address}: {_first_line(error)}"]) from error

    def _ask(self, question: Callable[[], T]) -> T:
        import requests
        from ray.exceptions import AuthenticationError

        try:
            return question()
        except AuthenticationError as error:
            raise StudyError([f"{self.address}: {_first_line(error)}; {HOW_TO_SET}."]) from error
        except (requests.exceptions.RequestException, ConnectionError) as error:
            raise ConnectionLostError([f"{self.address}: {_first_line(error)}"]) from error


def connect(address: str) -> Cluster:
    """The cluster behind a dashboard's address.

    Args:
        address: ``http://host:8265``; loopback where a tunnel leads to the cluster.

    Raises:
        StudyError: nothing answers there, what answers is no Ray dashboard, the token is missing or wrong, or the
            cluster's Ray is not one that this version works with.
    """
    address = address.rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise StudyError(
            [f"address: '{address}' is no http(s):// address of a Ray dashboard, e.g. http://127.0.0.1:8265."]
        )
    token = find_token(os.environ, Path.home())
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    _check_version(address, _hello(address, headers))
    # explicit for Ray as well, which otherwise decides by what it finds; and its own variables would win over --address
    os.environ["RAY_AUTH_MODE"] = "token" if token else "disabled"
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    from ray.job_submission import JobSubmissionClient

    for module in _TALKATIVE:
        logging.getLogger(module).setLevel(logging.WARNING)
    client = JobSubmissionClient(address, headers=headers)
    # Ray's own requests wait for ever, also at the near end of a tunnel whose far end has gone
    client._do_request = partial(client._do_request, timeout=ANSWER_S)
    return Cluster(client, address, headers)


def _hello(address: str, headers: Mapping[str, str]) -> str:
    """Version of the Ray that answers."""
    request = urllib.request.Request(f"{address}/api/version", headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=HELLO_S) as reply:
            return str(json.load(reply)["ray_version"])
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise StudyError([f"{address}: the cluster asks for a token (401); {HOW_TO_SET}."]) from error
        if error.code == 403:
            raise StudyError([f"{address}: the cluster refuses this token (403); {HOW_TO_SET}."]) from error
        raise StudyError([f"{address}: answers {error.code}, not as a Ray dashboard does; check the port."]) from error
    except http.client.InvalidURL as error:
        raise StudyError([f"address: '{address}' is none ({error}); e.g. http://127.0.0.1:8265."]) from error
    except (ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise StudyError([f"{address}: answers, but not as a Ray dashboard does; check the port."]) from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise StudyError(
            [
                f"{address}: no Ray cluster answers ({reason}); start one, or open the tunnel to it: "
                "ssh -N -L 8265:127.0.0.1:8265 HEAD."
            ]
        ) from error


def _check_version(address: str, running: str) -> None:
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in requires("tadtune") or []]
    ray = next(requirement for requirement in wanted if requirement.name == "ray")
    if not ray.specifier.contains(running, prereleases=True):
        raise StudyError(
            [
                f"{address}: the cluster runs Ray {running}, this tadtune needs ray{ray.specifier}; "
                "take the versions of constraints.txt on both sides."
            ]
        )


def _state(details: Any) -> JobState:
    return JobState(
        id=str(details.submission_id),
        status=str(details.status.value),
        metadata=dict(details.metadata or {}),
        started_ms=details.start_time,
        exit_code=details.driver_exit_code,
        message=details.message or "",
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
