"""A Ray session for one launch: a local one started here, or a cluster that is there already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Our own records replace Tune's loggers, and our own handler its reaction to signals.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


@contextmanager
def ray_session(address: str | None, *, dashboard: bool) -> Iterator[Mapping[str, float]]:
    """Connect to a cluster, or start a local session and end it afterwards.

    Args:
        address: of a cluster; None = what ``RAY_ADDRESS`` says (inside a submitted job), else a local session.
        dashboard: a local session shows Ray's dashboard, on loopback only. Ray Train needs it: without it the
            placement group of a trial that was stopped early is not given back.

    Yields:
        Resources by Ray's names: what the cluster has or, under an autoscaler, may grow to.
    """
    target = address or os.environ.get("RAY_ADDRESS") or "local"
    if target == "local":
        # Nothing listens beyond loopback and no token is left in the home folder for a later cluster to trip over.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    if ray.is_initialized():
        yield _reachable_resources()
        return
    local = {"include_dashboard": dashboard, "dashboard_host": "127.0.0.1"} if target == "local" else {}
    ray.init(address=target, log_to_driver=False, logging_level="ERROR", **local)
    try:
        yield _reachable_resources()
    finally:
        ray.shutdown()


def _reachable_resources() -> dict[str, float]:
    """What the cluster has, or would have with every worker that its autoscaler's configuration allows.

    A cluster that has scaled to zero would otherwise be refused, or used with the one worker that happens to be there.
    """
    import ray
    from ray._private.state import state  # as Ray Train itself asks for it; there is no public name

    limits = state.get_max_resources_from_cluster_config() or {}
    now = ray.cluster_resources()
    return {name: max(now.get(name, 0.0), float(limits.get(name, 0.0))) for name in now.keys() | limits.keys()}
