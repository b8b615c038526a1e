"""A Ray session for one launch: a local one started here, or a cluster that is there already."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tadtune.ray_token import find_token
from tadtune.spec.errors import StudyError

# Our own records replace Tune's loggers, and our own handler its reaction to signals.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

#: Nodes of one group that a study plans with where the group has no limit, or one that nobody meant.
MAX_NODES = 1000

#: Seconds within which the machine of a cluster's address must take a connection; Ray itself would try for two minutes.
CONNECT_S = 10.0


@contextmanager
def ray_session(address: str | None, *, dashboard: bool) -> Iterator[list[dict[str, float]]]:
    """Connect to a cluster, or start a local session and end it afterwards.

    Args:
        address: of a cluster; None = what ``RAY_ADDRESS`` says (inside a submitted job), else a local session.
        dashboard: a local session shows Ray's dashboard, on loopback only. Ray Train asks it for the groups of workers
            that are left behind by a trial whose own process died.

    Yields:
        What each node has, by Ray's names, and each that an autoscaler may add.

    Raises:
        StudyError: there is no such cluster, or Ray cannot start here.
    """
    target = _target(address)
    if "RAY_AUTH_MODE" not in os.environ:
        # A local session listens on loopback alone and leaves no token in the home folder for a later cluster to trip
        # over; a cluster is sent the token that is there, which is Ray's own rule, and said because that has changed.
        is_sent = target != "local" and find_token(os.environ, Path.home())
        os.environ["RAY_AUTH_MODE"] = "token" if is_sent else "disabled"
    import ray

    if ray.is_initialized():
        yield _nodes()
        return
    local = {"include_dashboard": dashboard, "dashboard_host": "127.0.0.1"} if target == "local" else {}
    try:
        _check_listens(target)
        with _on_loopback() if target == "local" else nullcontext():
            ray.init(address=target, log_to_driver=False, logging_level="ERROR", **local)
    except Exception as error:  # whatever Ray and its libraries raise
        ray.shutdown()  # a part of it may have started
        raise StudyError([_why_not(target, "--address" if address else "RAY_ADDRESS", error)]) from error
    try:
        yield _nodes()
    finally:
        ray.shutdown()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Have the processes of a new session listen on loopback alone, as Ray has it on macOS and Windows.

    Elsewhere they listen on every address of the machine, and what connects to them can run code.
    """
    from ray._private import ray_constants  # read from the environment once, long before it is known what is wanted

    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # what workers of a trial exchange; inherited by them
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def is_cluster(address: str | None) -> bool:
    """Whether trials may run on machines other than this one."""
    return _target(address) != "local"


def _target(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "local"


def _check_listens(target: str) -> None:
    """Whether anybody listens at an address; for others than ``host:port`` that is Ray's to say."""
    parts = re.fullmatch(r"\[?(?P<host>[^/\[\]]+)\]?:(?P<port>\d+)", target)
    if parts:
        socket.create_connection((parts["host"], int(parts["port"])), timeout=CONNECT_S).close()


def _why_not(target: str, option: str, error: Exception) -> str:
    """One line for a session that did not begin, with the way out."""
    words = " ".join(str(error).split())[:400].rstrip(".")
    said = f"({type(error).__name__}{': ' if words else ''}{words})"
    if target != "local":
        return (
            f"{option}: no Ray cluster answers at '{target}' {said}. Check the address, that the cluster runs, and "
            "that RAY_AUTH_MODE and the token are the cluster's own; without an address the study runs on this machine."
        )
    return (
        f"ray: no session could be started on this machine {said}. Nothing has run. It may be overloaded, short of "
        "memory, or its folder for temporary files may be full: free some and run the same command again, move the "
        "folder with RAY_TMPDIR (a short path), or use a running cluster with --address."
    )


def _nodes() -> list[dict[str, float]]:
    import ray
    from ray._private.state import state  # as Ray Train itself asks for it; there is no public name

    alive = [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    config = state.get_cluster_config()
    groups = [] if config is None else [(dict(g.resources), int(g.max_count)) for g in config.node_group_configs]
    return reachable_nodes(alive, groups)


def reachable_nodes(
    alive: list[dict[str, float]], groups: Iterable[tuple[Mapping[str, float], int]]
) -> list[dict[str, float]]:
    """The nodes of a cluster and those that its autoscaler may add.

    A cluster that has scaled to zero would otherwise be refused, or used with the one worker that happens to be there.

    Args:
        alive: resources of the nodes that are there, by Ray's names.
        groups: (resources of a node, largest number of such nodes) of every group of the autoscaler's configuration;
            -1 = no limit. Nodes do not say their group: one that is there counts for one of its shape, once.
    """
    spare = Counter(map(_shape, alive))
    nodes = list(alive)
    for resources, most in groups:
        shape = _shape(resources)
        limit = MAX_NODES if most < 0 else min(most, MAX_NODES)
        there = min(spare[shape], limit)
        spare[shape] -= there
        nodes += [dict(zip(("CPU", "GPU"), shape, strict=True))] * (limit - there)
    return nodes


def _shape(node: Mapping[str, float]) -> tuple[float, float]:
    return float(node.get("CPU", 0)), float(node.get("GPU", 0))
