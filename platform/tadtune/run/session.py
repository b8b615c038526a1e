"""A Ray session for one launch: a local one started here, or a cluster that is there already."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

# Our own records replace Tune's loggers, and our own handler its reaction to signals.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

#: Nodes of one group that a study plans with where the group has no limit, or one that nobody meant.
MAX_NODES = 1000


@contextmanager
def ray_session(address: str | None, *, dashboard: bool) -> Iterator[list[dict[str, float]]]:
    """Connect to a cluster, or start a local session and end it afterwards.

    Args:
        address: of a cluster; None = what ``RAY_ADDRESS`` says (inside a submitted job), else a local session.
        dashboard: a local session shows Ray's dashboard, on loopback only. Ray Train needs it: without it the
            placement group of a trial that was stopped early is not given back.

    Yields:
        What each node has, by Ray's names, and each that an autoscaler may add.
    """
    target = _target(address)
    if target == "local":
        # Nothing listens beyond loopback and no token is left in the home folder for a later cluster to trip over.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    if ray.is_initialized():
        yield _nodes()
        return
    local = {"include_dashboard": dashboard, "dashboard_host": "127.0.0.1"} if target == "local" else {}
    ray.init(address=target, log_to_driver=False, logging_level="ERROR", **local)
    try:
        yield _nodes()
    finally:
        ray.shutdown()


def is_cluster(address: str | None) -> bool:
    """Whether trials may run on machines other than this one."""
    return _target(address) != "local"


def _target(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "local"


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
