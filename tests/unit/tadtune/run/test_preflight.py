"""Checks before a launch that need no cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tadtune.run import preflight
from tadtune.run.preflight import check_are_folders, check_batches, check_storage_from_workers
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study

CLEAN = {"study": "a/b", "detector": "clean_net", "dataset": "synthetic"}


def _sweep(**changes: Any) -> Any:
    return parse_study({**CLEAN, "kind": "sweep", "space": {"detector.cls.dropout": "auto"}, **changes})


def test_workers_that_would_never_have_an_input_are_refused() -> None:
    with pytest.raises(StudyError, match=r"workers: 2 workers share batches of 1 \(set\), so that some would never"):
        check_batches(_sweep(resources={"workers": 2}))
    check_batches(_sweep(resources={"workers": 1}))
    check_batches(_sweep(resources={"workers": 2}, set={"detector.optim.batch_size": 2}))


def test_every_row_is_looked_at(toy_sweep: dict[str, Any]) -> None:
    rows = {"base": {"set": {"detector.optim.batch_size": 4}}, "small": {"set": {"detector.optim.batch_size": 2}}}
    raw = {**CLEAN, "kind": "ablation", "seeds": [0], "baseline": "base", "rows": rows, "resources": {"workers": 3}}
    with pytest.raises(StudyError, match=r"share batches of 2 \(rows.small\)") as caught:
        check_batches(parse_study(raw))
    assert len(caught.value.lines) == 1
    check_batches(parse_study({**toy_sweep, "resources": {"workers": 9}}))  # a detector that declares no batch


@pytest.mark.parametrize("address", ["s3://bucket/runs", "gs://bucket", "hdfs://name/runs", "abfss://c@a/runs"])
def test_data_in_object_stores_are_refused_and_nothing_is_made(tmp_path: Path, address: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"storage: '.*:/.*' is no folder\. The address of an object store has two sl"):
        check_are_folders({"storage": Path(address), "data": Path("data")})
    with pytest.raises(StudyError, match=r"data: '.*' is no folder\. .*; give a folder that every node mounts"):
        check_are_folders({"storage": Path("runs"), "data": Path(address)})
    check_are_folders({"storage": Path("runs/s3:/x"), "data": Path("/c:/data"), "other": Path()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seen", "complaints"),
    [
        ({"10.0.0.1": True, "10.0.0.2": True, "10.0.0.3": True}, []),
        ({"10.0.0.1": True, "10.0.0.2": False, "10.0.0.3": True}, [r"storage: .* not the same .* node\(s\) 10.0.0.2;"]),
        (
            {"10.0.0.1": True, "10.0.0.2": True, "10.0.0.3": None},
            [r"nodes: no process of 10.0.0.3 answered within 9 s"],
        ),
        (
            {"10.0.0.1": None, "10.0.0.2": False, "10.0.0.3": None},
            [r"nodes: no process of 10.0.0.1, 10.0.0.3 answered", r"storage: .* 10.0.0.2;"],
        ),
    ],
)
def test_every_node_sees_the_storage_and_says_so_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: dict[str, bool | None], complaints: list[str]
) -> None:
    """``None``: the node does not answer."""
    nodes = [{"NodeID": address, "NodeManagerAddress": address, "Alive": True} for address in seen]
    nodes.append({"NodeID": "dead", "NodeManagerAddress": "10.0.0.9", "Alive": False})

    def wait(probes: list[str], num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        assert (num_returns, timeout) == (len(seen), 9.0)
        assert len(list(tmp_path.glob(".reachable.*"))) == 1
        return [p for p in probes if seen[p] is not None], [p for p in probes if seen[p] is None]

    monkeypatch.setattr(preflight, "PROBE_S", 9.0)
    monkeypatch.setattr(preflight, "_on_node", lambda function, node_id, argument: node_id)
    monkeypatch.setattr(preflight.ray, "nodes", lambda: nodes)
    monkeypatch.setattr(preflight.ray, "wait", wait)
    monkeypatch.setattr(preflight.ray, "get", seen.__getitem__)
    if complaints:
        with pytest.raises(StudyError) as caught:
            check_storage_from_workers(tmp_path)
        assert len(caught.value.lines) == len(complaints)
        for line, complaint in zip(caught.value.lines, complaints, strict=True):
            assert re.match(complaint, line), line
    else:
        check_storage_from_workers(tmp_path)
    assert list(tmp_path.iterdir()) == []
