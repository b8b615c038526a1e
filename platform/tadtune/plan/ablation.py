"""The trials of an ablation: rows x seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tadtune.plan.trial import Trial, make_trial
from tadtune.spec.study import Ablation, Study


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and the row it belongs to.

    Attributes:
        row: key of the row.
        trial: the trial; two rows with equal settings share one.
    """

    row: str
    trial: Trial


def plan_ablation(study: Study) -> list[PlannedTrial]:
    """Every trial, seed by seed, so that a study stopped early has whole seeds rather than whole rows."""
    ablation = study.ablation
    assert isinstance(ablation, Ablation), "an ablation study"
    first = {row.key: make_trial(study, row.parts, row.values, 0) for row in ablation.rows}
    return [PlannedTrial(key, replace(trial, seed=seed)) for seed in ablation.seeds for key, trial in first.items()]


def rows_on_baseline_data(ablation: Ablation) -> frozenset[str]:
    """Rows with the baseline's data set and settings of it, which share one noise between seeds.

    A control whose labels are exchanged, or a row with less data, scatters as it does for reasons of its own.
    """
    data = {
        row.key: (row.parts.dataset, {path: v for path, v in row.values.items() if path.startswith("dataset.")})
        for row in ablation.rows
    }
    return frozenset(key for key, of_row in data.items() if of_row == data[ablation.baseline])
