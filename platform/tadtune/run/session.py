"""A Ray session for one launch: a local one started here, or a cluster that is there already."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

# Our own records replace Tune's loggers, and our own handler its reaction to signals.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

#: Nodes of one group that a study plans with where the group has no limit.
MAX_STARTABLE = 1000


@contextmanager
def ray_session(address: str | None, *, dashboard: bool) -> Iterator[list[dict[str, float]]]:
    """Connect to a cluster, or start a local session and end it afterwards.

    Args:
        address: of a cluster; None = what ``RAY_ADDRESS`` says (inside a submitted job), else a local session.
        dashboard: a local session shows Ray's dashboard, on loopback only. Ray Train needs it: without it the
            placement group of a trial that was stopped early is not given back.

    Yields:
        What each node of the cluster has, by Ray's names, with the nodes that its autoscaler may still start.
    """
    target = address or os.environ.get("RAY_ADDRESS") or "local"
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


def _nodes() -> list[dict[str, float]]:
    import ray
    from ray._private.state import state  # as Ray Train itself asks for it; there is no public name

    there = [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    config = state.get_cluster_config()
    return there + (startable_nodes(there, config.node_group_configs) if config else [])


def startable_nodes(there: Sequence[Mapping[str, float]], groups: Iterable[Any]) -> list[dict[str, float]]:
    """Nodes that an autoscaler may start beside those that are there.

    A cluster that has scaled to zero would otherwise be refused, or used with the one worker that happens to be there.

    Args:
        there: resources of the nodes that are alive. They do not say their group: a node counts for any of its shape.
        groups: the autoscaler's ``NodeGroupConfig``: ``resources`` of a node, ``max_count`` of nodes (-1 = no limit).
    """
    alive = Counter(_shape(node) for node in there)
    startable = []
    for group in groups:
        node = {name: float(amount) for name, amount in group.resources.items()}
        shape = _shape(node)
        most = MAX_STARTABLE if group.max_count < 0 else min(group.max_count, MAX_STARTABLE)
        already = min(alive[shape], most)
        alive[shape] -= already
        startable += [dict(node) for _ in range(most - already)]
    return startable


def _shape(node: Mapping[str, float]) -> tuple[float, float]:
    return node.get("CPU", 0.0), node.get("GPU", 0.0)
