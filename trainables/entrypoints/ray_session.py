"""A Ray session for a job of the data commands: one that is there already, a cluster's, or a local one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Use a cluster, or a local session that ends with the job and that only this machine reaches.

    Args:
        address: of a cluster; None = what ``RAY_ADDRESS`` says, else a local session.
    """
    target = address or os.environ.get("RAY_ADDRESS") or "local"
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token" if target != "local" and _has_token() else "disabled"
    import ray

    if ray.is_initialized():
        yield
        return
    _start(target)
    try:
        yield
    finally:
        ray.shutdown()


def _has_token() -> bool:
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    return "RAY_AUTH_TOKEN" in os.environ or Path(path).is_file()


def _start(target: str) -> None:
    import ray
    from ray._private import ray_constants

    on_network, options = ray_constants.ENABLE_RAY_CLUSTER, dict[str, Any]()
    if target == "local":
        # otherwise Ray's processes listen on every address of the machine, but on macOS and Windows
        ray_constants.ENABLE_RAY_CLUSTER, options = False, {"include_dashboard": False}
    try:
        ray.init(address=target, log_to_driver=False, logging_level="ERROR", **options)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = on_network
