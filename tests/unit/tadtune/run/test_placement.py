"""Trials per cluster, node by node: refused before the start rather than waiting for ever."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tadtune.run.placement import fitting_trials
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from tadtune.spec.study import Resources

SMALL = {"CPU": 2.0, "memory": 8e9}
GPU = {"CPU": 16.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("resources", "nodes", "fits"),
    [
        (Resources(), [SMALL], 2),
        (Resources(cpus=0.1), [SMALL], 20),
        (Resources(cpus=0.3), [{"CPU": 0.9}], 3),
        (Resources(workers=2), [SMALL], 1),
        (Resources(workers=2), [SMALL] * 3, 3),
        (Resources(workers=3, cpus=2), [SMALL] * 3, 1),
        (Resources(gpus=0.25, cpus=1), [GPU, SMALL], 16),
        (Resources(workers=2, gpus=1, cpus=2), [GPU, GPU, SMALL], 4),
        (Resources(workers=2, max_concurrent=1), [SMALL] * 3, 1),
    ],
)
def test_golden(resources: Resources, nodes: list[dict[str, float]], fits: int) -> None:
    assert fitting_trials(resources, nodes) == fits


@pytest.mark.parametrize(
    ("resources", "nodes", "complaint"),
    [
        (Resources(workers=2, cpus=2), [SMALL], "one trial needs 4 CPU, the cluster has 2; ask for less"),
        (Resources(gpus=1), [SMALL], "one trial needs 1 GPU, the cluster has 0"),
        # enough altogether, but on no single node
        (
            Resources(workers=2, cpus=3), [SMALL] * 3,
            r"room for 2 process\(es\) of 3 CPU each, the cluster has room for 0: 2 CPU, 2 CPU, 2 CPU",
        ),
        (
            Resources(cpus=4, gpus=1), [{"CPU": 2.0, "GPU": 1.0}, {"CPU": 8.0}],
            r"of 4 CPU \+ 1 GPU each, the cluster has room for 0: 2 CPU \+ 1 GPU, 8 CPU",
        ),
        (Resources(workers=2, max_concurrent=4), [SMALL] * 3, "max_concurrent: 4 trials at a time, 3 fit"),
    ],
)  # fmt: skip
def test_what_can_never_be_placed_is_refused(
    resources: Resources, nodes: list[dict[str, float]], complaint: str
) -> None:
    with pytest.raises(StudyError, match=complaint):
        fitting_trials(resources, nodes)


def _place_one(nodes: list[list[int]], process: tuple[int, int]) -> bool:
    for node in nodes:
        if node[0] >= process[0] and node[1] >= process[1]:
            node[0] -= process[0]
            node[1] -= process[1]
            return True
    return False


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=5),
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_as_many_as_can_be_put_down_one_by_one(
    nodes: list[tuple[int, int]], workers: int, cpus: int, gpus: int
) -> None:
    resources = Resources(workers=workers, cpus=cpus, gpus=gpus)
    left = [list(node) for node in nodes]
    placed = 0
    while _place_one(left, (cpus, gpus)):
        placed += 1
    expected = placed // resources.world_size
    given_nodes = [{"CPU": float(c), "GPU": float(g)} for c, g in nodes]
    if expected:
        assert fitting_trials(resources, given_nodes) == expected
    else:
        with pytest.raises(StudyError, match="one trial needs"):
            fitting_trials(resources, given_nodes)


@pytest.mark.parametrize(("workers", "gpus"), list(product((2, 3), (0.5, 1.5))))
def test_fractions_of_gpus_are_for_one_process(toy_sweep: dict[str, object], workers: int, gpus: float) -> None:
    with pytest.raises(StudyError, match=rf"resources.gpus: {gpus} per worker: data-parallel workers need whole GPUs"):
        parse_study({**toy_sweep, "resources": {"workers": workers, "gpus": gpus}})
    for few in (0, 1):
        assert parse_study({**toy_sweep, "resources": {"workers": few, "gpus": 0.5}}).resources.gpus == 0.5
