"""What a study may plan with on a cluster whose workers come and go."""

from __future__ import annotations

import pytest

from tadtune.run.placement import fitting_trials
from tadtune.run.session import MAX_NODES, reachable_nodes
from tadtune.spec.study import Resources

GPU_NODE = {"CPU": 8.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("alive", "groups", "nodes"),
    [
        ([{"memory": 8.0}], [({"CPU": 8, "GPU": 1}, 2)], [{"memory": 8.0}, GPU_NODE, GPU_NODE]),
        # a worker that is there already is one of those that may be there
        ([{**GPU_NODE, "memory": 9.0}], [({"CPU": 8, "GPU": 1}, 2)], [{**GPU_NODE, "memory": 9.0}, GPU_NODE]),
        ([GPU_NODE, GPU_NODE], [({"CPU": 8, "GPU": 1}, 1)], [GPU_NODE, GPU_NODE]),
        ([GPU_NODE], [({"CPU": 8, "GPU": 1}, -1)], [GPU_NODE] * MAX_NODES),
        ([GPU_NODE], [({"CPU": 8, "GPU": 1}, 2**31 - 1)], [GPU_NODE] * MAX_NODES),
        # two groups of one shape, spot and on demand: a node that is there is of one of them
        ([GPU_NODE], [({"CPU": 8, "GPU": 1}, 2), ({"CPU": 8, "GPU": 1}, 1)], [GPU_NODE] * 3),
        ([{"CPU": 4.0}], [], [{"CPU": 4.0}]),
        ([{"CPU": 4.0}], [({"CPU": 4}, 0)], [{"CPU": 4.0}]),
    ],
)
def test_what_is_there_and_what_may_come(
    alive: list[dict[str, float]], groups: list[tuple[dict[str, float], int]], nodes: list[dict[str, float]]
) -> None:
    assert reachable_nodes(alive, groups) == nodes


def test_a_study_starts_on_a_cluster_that_has_scaled_to_zero() -> None:
    nodes = reachable_nodes([{"memory": 8.0}], [({"CPU": 8, "GPU": 1}, 20)])
    assert fitting_trials(Resources(cpus=4, gpus=1), nodes) == 20
