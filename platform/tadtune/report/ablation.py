"""Rows x seeds of an ablation, from the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tadtune.plan.ablation import plan_ablation
from tadtune.report.data import AblationReport, RowReport
from tadtune.report.resampling import Sample, resample_trial
from tadtune.spec.combination import build_configs
from tadtune.spec.study import Ablation, Row, Study
from tadtune.spec.tables import PaperTable
from tadtune.track.record import Result
from tadtune.track.statistics import (
    RankAgreement,
    Resampled,
    RowStatistics,
    differences,
    rank_agreement,
    row_statistics,
)
from tadtune.track.study_folder import StudyFolder


def row_trials(study: Study) -> dict[str, dict[int, str]]:
    """Row key -> planned seed -> trial id."""
    trials: dict[str, dict[int, str]] = {}
    for item in plan_ablation(study):
        trials.setdefault(item.row, {})[item.trial.seed] = item.trial.id
    return trials


def ablation_statistics(study: Study, folder: StudyFolder) -> dict[str, RowStatistics]:
    """Row key -> statistics over its seeds."""
    results = {
        row: {seed: folder.record(trial_id).result() for seed, trial_id in trials.items()}
        for row, trials in row_trials(study).items()
    }
    return {row: row_statistics(row, by_seed) for row, by_seed in results.items()}


def collect_ablation(
    study: Study, folder: StudyFolder, table: PaperTable | None, metrics: tuple[str, ...]
) -> tuple[AblationReport, list[str]]:
    """Rows with statistics, differences and order, and warnings about what could not be paired.

    Args:
        study: an ablation.
        folder: its folder.
        table: the paper's table, or None.
        metrics: names the protocol measures.
    """
    assert isinstance(study.ablation, Ablation), "an ablation study"
    trials = row_trials(study)
    statistics = ablation_statistics(study, folder)
    samples = {row.key: _samples(row, trials[row.key], folder) for row in study.ablation.rows}
    paper = {row.key: paper_values(row, table, metrics) for row in study.ablation.rows}
    baseline = study.ablation.baseline
    warnings = _problems(samples)
    rows = []
    for row in study.ablation.rows:
        found = {}
        if row.key != baseline:
            resampled, unpaired = _pair(samples[row.key], samples[baseline])
            found = differences(
                statistics[row.key],
                statistics[baseline],
                resampled=resampled,
                paper=(paper[row.key], paper[baseline]),
            )
            if unpaired:
                warnings.append(
                    f"Row '{row.key}' was scored on other test videos than '{baseline}': "
                    "its intervals are over seeds only."
                )
        printed = None if table is None or row.paper_row is None else table.rows.get(row.paper_row)
        label, note = ("", "") if printed is None else (printed.label, printed.note)
        rows.append(RowReport(row, label, note, paper[row.key], statistics[row.key], found, trials[row.key]))
    return AblationReport(tuple(rows), baseline, _ranks(rows)), warnings


def paper_values(row: Row, table: PaperTable | None, metrics: tuple[str, ...]) -> dict[str, float]:
    """The paper's values of a row as fractions, metrics that are measured here only."""
    printed = None if table is None or row.paper_row is None else table.rows.get(row.paper_row)
    if printed is None:
        return {}
    return {name: printed.values[name] / 100 for name in metrics if name in printed.values}


def _samples(row: Row, trials: Mapping[int, str], folder: StudyFolder) -> dict[int, Sample]:
    """Seed -> resampled metrics of every complete trial of the row."""
    protocol: Any = build_configs(row.parts, row.values).protocol
    samples = {}
    for seed, trial_id in trials.items():
        record = folder.record(trial_id)
        result: Result | None = record.result()
        if result is not None and result.status == "complete":
            samples[seed] = resample_trial(record, result, protocol)
    return samples


def _pair(row: Mapping[int, Sample], baseline: Mapping[int, Sample]) -> tuple[tuple[Resampled, Resampled], bool]:
    """Resampled metrics of seeds whose two trials saw the same test videos; whether any did not."""
    common = [seed for seed in row if seed in baseline and row[seed].metrics and baseline[seed].metrics]
    same = [seed for seed in common if row[seed].videos == baseline[seed].videos]
    return (_by_metric({s: row[s] for s in same}), _by_metric({s: baseline[s] for s in same})), len(same) < len(common)


def _by_metric(samples: Mapping[int, Sample]) -> Resampled:
    found: dict[str, dict[int, Any]] = {}
    for seed, sample in samples.items():
        for name, values in sample.metrics.items():
            found.setdefault(name, {})[seed] = values
    return found


def _problems(samples: Mapping[str, Mapping[int, Sample]]) -> list[str]:
    """One line per kind of problem, with the trials it befell."""
    where: dict[str, list[str]] = {}
    for row, by_seed in samples.items():
        for seed, sample in by_seed.items():
            if sample.problem:
                where.setdefault(sample.problem, []).append(f"{row} seed {seed}")
    return [
        f"Not resampled over videos, intervals are over seeds only ({problem}): {_listed(trials)}."
        for problem, trials in where.items()
    ]


def _listed(names: list[str], most: int = 4) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _ranks(rows: list[RowReport]) -> dict[str, RankAgreement]:
    """Order of the rows all of whose seeds are finished, for metrics the paper gives two of them."""
    whole = [row for row in rows if row.statistics.complete]
    names = {name for row in whole for name in row.statistics.metrics if name.startswith("test")}
    ranks = {}
    for name in sorted(names):
        metric = name.split("/", 1)[1]
        paper = {row.row.key: row.paper[metric] for row in whole if metric in row.paper}
        ours = {row.row.key: row.statistics.metrics[name].mean for row in whole if name in row.statistics.metrics}
        agreement = rank_agreement(paper, ours)
        if agreement.rows > 1:
            ranks[name] = agreement
    return ranks
