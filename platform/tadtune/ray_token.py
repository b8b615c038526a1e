"""The token of a cluster with authentication, found where Ray finds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tadtune.spec.errors import StudyError

#: What to do when a cluster asks for a token, for the end of a complaint.
HOW_TO_SET = (
    "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with the token the cluster "
    "was started with"
)


def find_token(environment: Mapping[str, str], home: Path) -> str | None:
    """The token to send, looked for in Ray's order: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ``~/.ray/auth_token``.

    Source of the order: ray-project/ray:src/ray/rpc/authentication/authentication_token_loader.cc.

    Args:
        environment: of this process. ``RAY_AUTH_MODE`` decides whether one is sent at all: ``disabled`` sends none,
            ``token`` needs one, unset sends what there is.
        home: the home folder.

    Returns:
        The token, or None to send none.

    Raises:
        StudyError: the mode is unknown, a named file cannot be read or is empty, or a token is needed and there is
            none.
    """
    mode = environment.get("RAY_AUTH_MODE", "").strip().lower()
    if mode not in ("", "disabled", "token"):
        raise StudyError([f"RAY_AUTH_MODE: '{mode}' is neither 'token' nor 'disabled'; set one of them."])
    if mode == "disabled":
        return None
    token = environment.get("RAY_AUTH_TOKEN", "").strip()
    if token:
        return token
    named = environment.get("RAY_AUTH_TOKEN_PATH", "")
    path = Path(named) if named else home / ".ray" / "auth_token"
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        if named:
            raise StudyError(
                [f"RAY_AUTH_TOKEN_PATH: {path} cannot be read ({error.strerror}); {HOW_TO_SET}."]
            ) from error
    if named and not token:
        raise StudyError([f"RAY_AUTH_TOKEN_PATH: {path} is empty; {HOW_TO_SET}."])
    if mode == "token" and not token:
        raise StudyError([f"RAY_AUTH_MODE is 'token' and there is no token; {HOW_TO_SET}."])
    return token or None
