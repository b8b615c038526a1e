"""Runs for MLflow that stand for many: one per row of ours, one per row of the paper, under the same metric names."""

from __future__ import annotations

from typing import Any

from tadtune.report.ablation import collect_ablation
from tadtune.report.data import RowReport
from tadtune.spec.combination import build_configs
from tadtune.spec.study import Study
from tadtune.spec.tables import PaperRow, PaperTable, find_table
from tadtune.track.mlflow_tracking.runs import Summary
from tadtune.track.study_folder import StudyFolder


def summary_runs(study: Study, folder: StudyFolder) -> list[Summary]:
    """Means of every row with a finished seed, and the rows of the paper's table.

    MLflow's compare view then shows paper and measured side by side. The paper's rows are those the study's rows
    answer, and its other own configurations.
    """
    summaries = []
    table = None if study.paper is None or study.table is None else find_table(study.paper, study.table)
    if study.ablation is not None:
        protocol: Any = build_configs(study.parts, study.values).protocol
        rows = collect_ablation(study, folder, table, protocol.metric_names())[0].rows
        summaries += [_aggregate(study, row) for row in rows]
    if table is not None:
        bound = {row.paper_row for row in study.ablation.rows} if study.ablation is not None else set()
        summaries += [_reference(table, row) for row in table.rows.values() if row.own or row.key in bound]
    return [summary for summary in summaries if summary.metrics]


def _aggregate(study: Study, report: RowReport) -> Summary:
    """Mean, standard deviation and interval of every metric, and the difference to the baseline beside the paper's."""
    row, statistics = report.row, report.statistics
    metrics: dict[str, float] = {}
    for name, values in statistics.metrics.items():
        metrics[name] = values.mean
        if values.sd is not None and values.interval is not None:
            metrics[f"{name}_sd"] = values.sd
            metrics |= {f"{name}_low": values.interval.low, f"{name}_high": values.interval.high}
    for name, difference in report.differences.items():
        metrics[f"{name}_difference"] = difference.mean
        if difference.interval is not None:
            metrics[f"{name}_difference_low"] = difference.interval.low
            metrics[f"{name}_difference_high"] = difference.interval.high
        if difference.paper is not None:
            metrics[f"{name}_paper_difference"] = difference.paper
    tags = {
        "paper": study.paper or "",
        "table": study.table or "",
        "row": row.key,
        "paper_row": row.paper_row or "",
        "detector": row.parts.detector,
        "tasks": ", ".join(row.parts.tasks),
        "dataset": row.parts.dataset,
        "protocol": row.parts.protocol,
        "seeds": f"{len(statistics.finished)} of {len(statistics.states)}",
    }
    return Summary("aggregate", f"{row.key} (mean of seeds)", metrics, tags)


def _reference(table: PaperTable, row: PaperRow) -> Summary:
    metrics = {f"test/{name}": value / 100 for name, value in row.values.items() if "map" in name}  # fps are no percent
    tags = {
        "paper": table.paper,
        "table": table.key,
        "row": row.key,
        "label": row.label,
        "dataset": ", ".join(table.datasets),
        "reading": row.note,
    }
    return Summary("reference", f"paper: {table.paper} {table.key} {row.key}", metrics, tags)
