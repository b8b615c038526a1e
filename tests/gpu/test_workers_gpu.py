"""A study on CUDA devices, in process and on Ray Train workers (nccl): the losses of the CPU."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tadtune.conclusion import conclude
from tadtune.run.engine import Settings, run_study
from tadtune.spec.parse import parse_study

DEVICES = torch.cuda.device_count()

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not DEVICES, reason="needs a CUDA device")]

STUDY: dict[str, Any] = {
    "study": "gpu/losses",
    "kind": "ablation",
    "detector": "kt_mgfn",
    "dataset": "synthetic",
    "set": {
        "dataset.num_videos": 24,
        "detector.data.length": 32,
        "detector.base.width": 16,
        "detector.base.dropout": 0.0,
        "detector.ktm.enabled": False,
        "detector.optim.batch_size": 6,
        "detector.optim.epochs1": 2,
        "detector.optim.epochs2": 1,
    },
    "seeds": [0],
    "baseline": "base",
    "rows": {"base": {}},
}


def curve(root: Path, resources: dict[str, Any]) -> list[float]:
    """Classification loss of every epoch."""
    console = Console(file=io.StringIO(), width=200)
    study = parse_study({**STUDY, "resources": resources})
    outcome = run_study(study, Settings(root / "runs", root / "data"), console, conclude)
    assert outcome.counts["complete"] == 1, console.file.getvalue()  # type: ignore[attr-defined]
    (record,) = outcome.folder.records().values()
    return [report.metrics["train/class"] for report in record.reports()]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> list[float]:
    return curve(tmp_path_factory.mktemp("cpu"), {})


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize(("precision", "rel"), [("float32", 1e-3), ("bfloat16", 0.02)])
def test_losses_are_those_of_the_cpu(
    workers: int, precision: str, rel: float, tmp_path: Path, expected: list[float]
) -> None:
    if max(1, workers) > DEVICES:
        pytest.skip(f"needs {workers} CUDA devices, one a worker")
    found = curve(tmp_path, {"workers": workers, "gpus": 1, "precision": precision})
    assert len(found) == 3
    assert found == pytest.approx(expected, rel=rel)


def test_a_share_of_a_device_is_enough_for_a_small_trial(tmp_path: Path, expected: list[float]) -> None:
    assert curve(tmp_path, {"gpus": 0.25}) == pytest.approx(expected, rel=1e-3)
