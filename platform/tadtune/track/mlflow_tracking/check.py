"""What is wrong with a tracking address, in one line with the way out."""

from __future__ import annotations

import base64
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request

#: Answered without an account and whatever the Host header says; then a question that needs both.
_HEALTH = "/health"
_QUESTION = "/api/2.0/mlflow/experiments/search?max_results=1"


def tracking_problem(uri: str, timeout_s: float = 5.0) -> str:
    """What keeps a study from recording at an address, "" when nothing does.

    Args:
        uri: ``http(s)://`` of a server, or ``sqlite:///`` or ``postgresql://`` of a data base.
        timeout_s: for each question.
    """
    if uri.startswith(("http://", "https://")):
        return _server_problem(uri.rstrip("/"), timeout_s)
    if uri.startswith(("sqlite:///", "postgresql")):
        from tadtune.track.mlflow_tracking.database import database_problem

        return database_problem(uri)
    return f"'{uri}' is no http(s)://, sqlite:/// or postgresql:// address."


def without_password(uri: str) -> tuple[str, str]:
    """An address without the password that it holds, and that password, "" where it holds none."""
    parts = urllib.parse.urlsplit(uri)
    if not parts.password:
        return uri, ""
    place = parts.netloc.rpartition("@")[2]
    place = f"{parts.username}@{place}" if parts.username else place
    return urllib.parse.urlunsplit(parts._replace(netloc=place)), urllib.parse.unquote(parts.password)


def _server_problem(uri: str, timeout_s: float) -> str:
    headers = _credentials()
    try:
        with urllib.request.urlopen(f"{uri}{_HEALTH}", timeout=timeout_s):
            pass
        with urllib.request.urlopen(
            urllib.request.Request(uri + _QUESTION, headers=headers), timeout=timeout_s
        ) as reply:
            json.load(reply)
    except urllib.error.HTTPError as error:
        return f"{uri} " + _refusal(uri, error.code, error.read(2000).decode(errors="replace"), bool(headers))
    except http.client.InvalidURL as error:
        return f"'{uri}' is no address ({error})."
    except (ValueError, http.client.HTTPException):
        return f"{uri} answers, but not as MLflow does; check the port."
    except OSError as error:  # urllib.error.URLError and time-outs are among them
        return f"{uri} does not answer ({getattr(error, 'reason', error)}); start it with `tadtune server up`."
    return ""


def _refusal(uri: str, code: int, body: str, has_account: bool) -> str:
    """The rest of the sentence for an answer that is not 200."""
    if code == 401:
        fault = "refuses this account" if has_account else "asks for an account"
        return f"{fault} (401); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
    if code == 403 and "Invalid Host header" in body:
        name = urllib.parse.urlsplit(uri).hostname
        return f"refuses the name '{name}' (403); start the server with --allowed-host {name}."
    if code == 403:
        return "does not allow this account to look at experiments (403); ask its administrator."
    if code == 404:
        return "answers 404, not as MLflow does; check the port."
    words = " ".join(body.split())[:200]
    return f"fails ({code}: {words}); its own log says why."


def _credentials() -> dict[str, str]:
    """The header that MLflow's client sends, from the same variables."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    name, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if name and password:
        return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}
    return {"Authorization": f"Bearer {token}"} if token else {}
