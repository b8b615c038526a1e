"""How many trials fit into a cluster at a time, node by node."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tadtune.spec.errors import StudyError
from tadtune.spec.study import Resources

#: What the Tune trial beside a group of Ray Train workers asks for: memory alone. Its group is placed whole or not at
#: all, so that trials never hold a part of what another one waits for, as they would if this took CPUs.
DRIVER_RESOURCES = {"memory": float(256 << 20)}


def fitting_trials(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trials run at a time.

    Args:
        resources: what one trial takes.
        nodes: what each node of the cluster has, by Ray's names.

    Raises:
        StudyError: not even one trial can be placed, or more are asked for than can.
    """
    process = {"CPU": resources.cpus, "GPU": resources.gpus}
    lines = [
        f"resources: one trial needs {amount * resources.world_size:g} {name}, the cluster has "
        f"{_total(nodes, name):g}; {_WAY_OUT}"
        for name, amount in process.items()
        if amount * resources.world_size > _total(nodes, name)
    ]
    if lines:
        raise StudyError(lines)
    room = sum(_room(node, process) for node in nodes)
    if room < resources.world_size:
        raise StudyError(
            [
                f"resources: one trial needs room for {resources.world_size} process(es) of {_words(process)} each, "
                f"the cluster has room for {room}: {', '.join(_words(node) for node in nodes)}; {_WAY_OUT}"
            ]
        )
    fits = room // resources.world_size
    asked = resources.max_concurrent
    if asked is not None and asked > fits:
        raise StudyError(
            [f"resources.max_concurrent: {asked} trials at a time, {fits} fit into the cluster; ask for {fits}."]
        )
    return asked or fits


_WAY_OUT = "ask for less under `resources`, or add nodes."


def _total(nodes: Sequence[Mapping[str, float]], name: str) -> float:
    return sum(node.get(name, 0.0) for node in nodes)


def _room(node: Mapping[str, float], process: Mapping[str, float]) -> int:
    """Processes that fit into a node; no process is spread over two."""
    # shares such as 0.1 are not exact
    return min(math.floor(node.get(name, 0.0) / amount + 1e-6) for name, amount in process.items() if amount > 0)


def _words(amounts: Mapping[str, float]) -> str:
    return " + ".join(
        f"{amounts.get(name, 0.0):g} {name}" for name in ("CPU", "GPU") if amounts.get(name) or name == "CPU"
    )
