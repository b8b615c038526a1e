"""A known effect is found where it was planted, and not where it was not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tadtune.conclusion import conclude
from tadtune.run.engine import Settings, run_study
from tadtune.spec.parse import load_study
from tadtune.spec.studies import find_study

pytestmark = pytest.mark.slow


def differences(name: str, folder: Path) -> dict[str, tuple[float, float]]:
    """Row -> interval of its difference to the baseline on test."""
    study = load_study(find_study(name))
    outcome = run_study(study, Settings(folder / "runs", folder / "data", None, None), Console(quiet=True), conclude)
    rows = csv.DictReader((outcome.folder.report / "report.csv").open())
    return {
        row["row"]: (float(row["difference_low"]), float(row["difference_high"]))
        for row in rows
        if row["split"] == "test" and row["metric"] == "map_tiou_0.50" and row["row"] != "baseline"
    }


def test_dilation_and_erasing_help_where_flanks_are_weak_and_nowhere_else(tmp_path: Path, ray_cluster: Any) -> None:
    planted = differences("kt_mgfn/planted_weak_flanks", tmp_path)
    assert set(planted) == {"plus_dilation", "plus_erasing"}
    assert all(low > 0 for low, _ in planted.values()), planted
    absent = differences("kt_mgfn/planted_no_flanks", tmp_path)
    assert set(absent) == {"plus_dilation", "plus_erasing"}
    assert not any(low > 0 for low, _ in absent.values()), absent
