"""A known effect is found where it was planted, and not where it was not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from toy_runs import lay_database

from tadtune.conclusion import conclude
from tadtune.run.engine import Settings, run_study
from tadtune.spec.parse import parse_study
from tadtune.spec.studies import find_study

pytestmark = pytest.mark.slow


def differences(
    name: str, folder: Path, *, metric: str = "map_tiou_0.50", without: str | None = None
) -> dict[str, tuple[float, float]]:
    """Row -> interval of its difference to the baseline on test; a row may be left out to save its time."""
    raw = yaml.safe_load(find_study(name).read_text(encoding="utf-8"))
    raw["rows"].pop(without, None)
    study = parse_study(raw)
    lay_database(folder / "runs")
    outcome = run_study(study, Settings(folder / "runs", folder / "data", None, None), Console(quiet=True), conclude)
    rows = csv.DictReader((outcome.folder.report / "report.csv").open())
    return {
        row["row"]: (float(row["difference_low"]), float(row["difference_high"]))
        for row in rows
        if row["split"] == "test" and row["metric"] == metric and row["row"] != "baseline"
    }


def test_dilation_and_erasing_help_where_flanks_are_weak_and_nowhere_else(tmp_path: Path, ray_cluster: Any) -> None:
    planted = differences("kt_mgfn/planted_weak_flanks", tmp_path)
    assert set(planted) == {"plus_dilation", "plus_erasing"}
    assert all(low > 0 for low, _ in planted.values()), planted
    absent = differences("kt_mgfn/planted_no_flanks", tmp_path)
    assert set(absent) == {"plus_dilation", "plus_erasing"}
    assert not any(low > 0 for low, _ in absent.values()), absent


def test_windows_around_regions_help_where_only_context_tells_the_class(tmp_path: Path, ray_cluster: Any) -> None:
    def interval(name: str) -> tuple[float, float]:
        found = differences(name, tmp_path, metric="avg_map", without="mac_refine_without_context")
        assert set(found) == {"mac_refine"}
        return found["mac_refine"]

    assert interval("three_birds/planted_confusable")[0] > 0
    low, high = interval("three_birds/planted_no_confusable")
    assert low <= 0 <= high
