"""The report's numbers for other tools: one line per row (or trial), split and metric; fractions, full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from tadtune.report.data import AblationReport, ReportData, SweepReport

ABLATION_HEADINGS = (
    "row",
    "paper_row",
    "split",
    "metric",
    "paper",
    "mean",
    "sd",
    "low",
    "high",
    "seeds_finished",
    "seeds_planned",
    "values",
    "difference",
    "difference_low",
    "difference_high",
    "difference_method",
    "difference_seeds",
    "paper_difference",
    "sign_agrees",
    "excludes_zero",
    "dataset",
    "table_datasets",
)
SWEEP_HEADINGS = ("trial", "trial_id", "status", "role", "split", "metric", "value", "objective")


def render_csv(data: ReportData) -> str:
    """RFC 4180 text; empty cells where there is no value."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    if data.ablation is not None:
        writer.writerow(ABLATION_HEADINGS)
        writer.writerows(_ablation(data, data.ablation))
    else:
        assert data.sweep is not None and data.study.sweep is not None, "a sweep or an ablation"
        paths = [parameter.path for parameter in data.study.sweep.space]
        inner = [parameter.path for parameter in data.study.inference.space]
        writer.writerow([*SWEEP_HEADINGS, *paths, *(f"tuned {path}" for path in inner)])
        writer.writerows(_sweep(data.sweep, paths, inner))
    return stream.getvalue()


def _ablation(data: ReportData, ablation: AblationReport) -> Iterator[list[Any]]:
    datasets = " ".join(data.setting.table.datasets) if data.setting.table else ""
    for row in ablation.rows:
        for name in sorted(row.statistics.metrics) or [""]:  # a row without any finished seed keeps a line
            split, _, metric = name.partition("/")
            ours, difference = row.statistics.metrics.get(name), row.differences.get(name)
            spread = None if ours is None else ours.interval
            gap = None if difference is None else difference.interval
            values = {} if ours is None else ours.values
            yield [
                row.row.key,
                row.row.paper_row,
                split,
                metric,
                row.paper.get(metric),
                *((None, None) if ours is None else (ours.mean, ours.sd)),
                *((None, None) if spread is None else (spread.low, spread.high)),
                len(row.statistics.finished),
                len(row.statistics.states),
                " ".join(f"{seed}:{value!r}" for seed, value in sorted(values.items())),
                None if difference is None else difference.mean,
                *((None, None) if gap is None else (gap.low, gap.high)),
                None if difference is None else difference.method,
                None if difference is None else len(difference.seeds),
                None if difference is None else difference.paper,
                None if difference is None else difference.sign_agrees,
                None if difference is None else difference.excludes_zero,
                data.study.parts.dataset,
                datasets,
            ]


def _sweep(sweep: SweepReport, paths: list[str], inner: list[str]) -> Iterator[list[Any]]:
    for trial in sweep.trials:
        roles = {"best": sweep.best, "start": sweep.start}
        role = " ".join(name for name, other in roles.items() if other is not None and other.id == trial.id)
        for name in sorted(trial.metrics) or [""]:
            split, _, metric = name.partition("/")
            yield [
                trial.number,
                trial.id,
                trial.status,
                role,
                split,
                metric,
                trial.metrics.get(name),
                trial.objective,
                *(trial.values.get(path) for path in paths),
                *(trial.inference.get(path) for path in inner),
            ]
