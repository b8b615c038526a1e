"""The one table every writer shows: paper, ours, difference, the paper's difference, sign."""

from __future__ import annotations

from dataclasses import dataclass

from tadtune.report.data import ReportData, RowReport
from tadtune.report.wording import (
    NONE,
    count,
    gap,
    gap_interval,
    mean_text,
    metric_title,
    score,
    seeds_text,
    sign_text,
)
from tadtune.track.statistics import Difference

ROW_HEADINGS = ("row", "paper", "ours", "seeds", "difference to baseline", "paper's difference", "sign")
GAIN_CAPTION = (
    "Best trial against the starting point: scores in percent, differences in points; tuned: with inference values "
    "searched on select"
)
GAIN_HEADINGS = ("metric", "scored on", "starting point", "best trial", "difference")


@dataclass(frozen=True)
class TableRow:
    """One row of an ablation's table, as text.

    Attributes:
        key: of the row.
        label: the paper's label and how sure its reading is, or "".
        paper: the paper's value.
        ours: mean and half the interval.
        seeds: what the mean stands on.
        whole: whether every planned seed is finished.
        difference: to the baseline; "baseline" for itself.
        interval: of the difference, and its seeds where they are not all.
        paper_difference: the paper's.
        sign: whether they agree.
        verdict: "agrees", "opposite", "noise" or "" for styling.
    """

    key: str
    label: str
    paper: str
    ours: str
    seeds: str
    whole: bool
    difference: str
    interval: str
    paper_difference: str
    sign: str
    verdict: str

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of ``ROW_HEADINGS``."""
        title = f"{self.key} ({self.label})" if self.label else self.key
        difference = f"{self.difference} {self.interval}".rstrip()
        return (title, self.paper, self.ours, self.seeds, difference, self.paper_difference, self.sign)


def ablation_table(data: ReportData, split: str, metric: str) -> list[TableRow]:
    """Rows of an ablation.

    Args:
        data: of an ablation.
        split: ``test`` or ``test_tuned``.
        metric: without the split.
    """
    assert data.ablation is not None, "an ablation"
    return [_row(row, data.ablation.baseline, f"{split}/{metric}", metric) for row in data.ablation.rows]


def _row(row: RowReport, baseline: str, name: str, metric: str) -> TableRow:
    difference = row.differences.get(name)
    shown, interval = NONE, ""
    if difference is not None:
        shown, interval = gap(difference.mean), gap_interval(difference)
        if len(difference.seeds) < len(row.statistics.states):
            interval += f" ({count(len(difference.seeds), 'seed')})"
    label = row.label if row.label != row.row.key else ""
    certainty = row.note if row.note != "forced" else ""
    return TableRow(
        key=row.row.key,
        label=", ".join(part for part in (label, certainty) if part),
        paper=score(row.paper.get(metric)),
        ours=mean_text(row.statistics.metrics.get(name)),
        seeds=seeds_text(row.statistics),
        whole=row.statistics.complete,
        difference="baseline" if row.row.key == baseline else shown,
        interval=interval,
        paper_difference=NONE if difference is None else gap(difference.paper),
        sign=sign_text(difference),
        verdict=_verdict(difference),
    )


def _verdict(difference: Difference | None) -> str:
    if difference is None or difference.sign_agrees is None:
        return ""
    if not difference.excludes_zero:
        return "noise"
    return "agrees" if difference.sign_agrees else "opposite"


def gain_table(data: ReportData, metrics: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Best trial against the starting point of a sweep, in the order of ``GAIN_HEADINGS``.

    Args:
        data: of a sweep.
        metrics: to show, without the split.
    """
    assert data.sweep is not None, "a sweep"
    start, best = data.sweep.start, data.sweep.best
    rows: list[tuple[str, ...]] = []
    for metric in metrics:
        for split in ("select", "select_tuned", "test", "test_tuned"):
            name = f"{split}/{metric}"
            values = [None if trial is None else trial.metrics.get(name) for trial in (start, best)]
            if values == [None, None]:
                continue
            found = data.sweep.gains.get(name)
            shown = NONE
            if found is not None:
                shown = gap(found.mean) + (f" {gap_interval(found)}" if found.interval is not None else "")
            rows.append((metric_title(metric), split.replace("_", ", "), score(values[0]), score(values[1]), shown))
    return rows


def all_metrics_table(data: ReportData, split: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Row key -> for every metric of the protocol: mean, and difference to the baseline or ""."""
    assert data.ablation is not None, "an ablation"
    table = []
    for row in data.ablation.rows:
        cells = []
        for metric in data.metrics:
            difference = row.differences.get(f"{split}/{metric}")
            shown = "" if difference is None else f"{gap(difference.mean)} {gap_interval(difference)}"
            cells.append((mean_text(row.statistics.metrics.get(f"{split}/{metric}")), shown))
        table.append((row.row.key, cells))
    return table
