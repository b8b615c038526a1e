"""The token is found where Ray finds it, and what is missing is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tadtune.ray_token import find_token
from tadtune.spec.errors import StudyError

RAYS_OWN = """
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
print(get_auth_headers_if_auth_enabled({}).get("authorization", ""))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with a token of its own, and a file with another."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("from-home\n")
    (tmp_path / "token").write_text("  from-file \n")
    return tmp_path


def settings(home: Path, names: str) -> dict[str, str]:
    known = {"RAY_AUTH_TOKEN": " from-variable ", "RAY_AUTH_TOKEN_PATH": str(home / "token")}
    return {"RAY_AUTH_MODE": "token", **{name: known[name] for name in names.split()}}


@pytest.mark.parametrize(
    ("names", "token"),
    [
        ("RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH", "from-variable"),
        ("RAY_AUTH_TOKEN_PATH", "from-file"),
        ("", "from-home"),
    ],
)
def test_the_order_is_rays(home: Path, names: str, token: str) -> None:
    environment = settings(home, names)
    assert find_token(environment, home) == token
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    theirs = subprocess.run(
        [sys.executable, "-c", RAYS_OWN],
        env={**clean, **environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert theirs.stdout.strip() == f"Bearer {token}"


def test_without_a_mode_what_is_there_is_sent_and_nothing_is_needed(home: Path, tmp_path: Path) -> None:
    assert find_token({}, home) == "from-home"
    assert find_token({}, tmp_path / "nobody") is None


def test_disabled_sends_none(home: Path) -> None:
    assert find_token({"RAY_AUTH_MODE": "Disabled", "RAY_AUTH_TOKEN": "x"}, home) is None


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"RAY_AUTH_MODE": "tokens"}, r"RAY_AUTH_MODE: 'tokens' is neither 'token' nor 'disabled'"),
        ({"RAY_AUTH_MODE": "token"}, r"RAY_AUTH_MODE is 'token' and there is no token; set RAY_AUTH_MODE=token and"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere/t"}, r"RAY_AUTH_TOKEN_PATH: /nowhere/t cannot be read \(No such file"),
        ({"RAY_AUTH_TOKEN_PATH": "/dev/null"}, r"RAY_AUTH_TOKEN_PATH: /dev/null is empty"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(StudyError, match=complaint):
        find_token(environment, tmp_path / "nobody")
