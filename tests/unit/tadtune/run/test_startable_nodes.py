"""What a study may plan with on a cluster whose workers come and go."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st
from ray._private.state import state
from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig

from tadtune.run.placement import fitting_trials
from tadtune.run.session import MAX_STARTABLE, ray_session, startable_nodes
from tadtune.spec.study import Resources

HEAD = {"CPU": 0.0, "memory": 8.0}
GPU = {"CPU": 8.0, "GPU": 1.0}


def group(name: str, most: int, **resources: int) -> Any:
    return NodeGroupConfig(name=name, max_count=most, resources=resources)


SPOT, ON_DEMAND = group("spot", 16, CPU=8, GPU=1), group("on_demand", 4, CPU=8, GPU=1)


def test_all_workers_of_a_cluster_that_has_scaled_to_zero() -> None:
    assert startable_nodes([HEAD], [SPOT, ON_DEMAND]) == [GPU] * 20


def test_a_node_that_is_there_is_not_counted_twice() -> None:
    there = [HEAD, {**GPU, "memory": 9.0}, GPU]
    assert len(startable_nodes(there, [SPOT, ON_DEMAND])) == 18
    assert startable_nodes([HEAD, *[GPU] * 20], [SPOT, ON_DEMAND]) == []
    # more than the configuration speaks of, added by hand
    assert startable_nodes([GPU] * 30, [SPOT]) == []


@pytest.mark.parametrize("most", [-1, 2**31 - 1])
def test_a_group_without_a_limit(most: int) -> None:
    assert len(startable_nodes([], [group("any", most, CPU=1)])) == MAX_STARTABLE


SHAPES = st.tuples(st.integers(0, 2), st.integers(0, 2))


@given(there=st.lists(SHAPES, max_size=12), groups=st.lists(st.tuples(SHAPES, st.integers(0, 5)), max_size=5))
def test_with_the_living_each_shape_reaches_its_groups_together(
    there: list[tuple[int, int]], groups: list[tuple[tuple[int, int], int]]
) -> None:
    nodes = [{"CPU": float(cpu), "GPU": float(gpu)} for cpu, gpu in there]
    configs = [group(str(i), most, CPU=cpu, GPU=gpu) for i, ((cpu, gpu), most) in enumerate(groups)]
    coming = Counter((int(node["CPU"]), int(node["GPU"])) for node in startable_nodes(nodes, configs))
    limit: Counter[tuple[int, int]] = Counter()
    for shape, most in groups:
        limit[shape] += most
    for shape in {*there, *limit}:
        assert coming[shape] == max(0, limit[shape] - there.count(shape))


def test_a_study_starts_on_a_cluster_that_has_scaled_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": HEAD}, {"Alive": False, "Resources": GPU}])
    monkeypatch.setattr(state, "get_cluster_config", lambda: ClusterConfig(node_group_configs=[SPOT, ON_DEMAND]))
    with ray_session("10.0.0.1:6379", dashboard=False) as nodes:
        assert nodes == [HEAD, *[GPU] * 20]
        assert fitting_trials(Resources(cpus=8, gpus=1), nodes) == 20


def test_a_cluster_without_an_autoscaler_is_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": GPU}])
    monkeypatch.setattr(state, "get_cluster_config", lambda: None)
    with ray_session("10.0.0.1:6379", dashboard=False) as nodes:
        assert nodes == [GPU]
