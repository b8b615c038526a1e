"""Runs for MLflow that stand for many: one per row of ours, one per row of the paper, under the same metric names."""

from __future__ import annotations

from tadtune.report.ablation import ablation_statistics
from tadtune.spec.study import Row, Study
from tadtune.spec.tables import PaperRow, PaperTable, find_table
from tadtune.track.mlflow_store import Summary
from tadtune.track.statistics import RowStatistics
from tadtune.track.study_folder import StudyFolder


def summary_runs(study: Study, folder: StudyFolder) -> list[Summary]:
    """Means of every row with a finished seed, and the rows of the paper's table.

    MLflow's compare view then shows paper and measured side by side. The paper's rows are those the study's rows
    answer, and its other own configurations.
    """
    summaries = []
    table = None if study.paper is None or study.table is None else find_table(study.paper, study.table)
    if study.ablation is not None:
        statistics = ablation_statistics(study, folder)
        summaries += [_aggregate(study, row, statistics[row.key]) for row in study.ablation.rows]
    if table is not None:
        bound = {row.paper_row for row in study.ablation.rows} if study.ablation is not None else set()
        summaries += [_reference(table, row) for row in table.rows.values() if row.own or row.key in bound]
    return [summary for summary in summaries if summary.metrics]


def _aggregate(study: Study, row: Row, statistics: RowStatistics) -> Summary:
    metrics: dict[str, float] = {}
    for name, values in statistics.metrics.items():
        metrics[name] = values.mean
        if values.sd is not None and values.interval is not None:
            metrics |= {
                f"{name}_sd": values.sd,
                f"{name}_low": values.interval.low,
                f"{name}_high": values.interval.high,
            }
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
