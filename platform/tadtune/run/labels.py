"""What a person reads about a trial: name, tags and parameters in MLflow and in the progress display."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tadtune.plan.ablation import PlannedTrial
from tadtune.plan.trial import Trial, reduced_precision
from tadtune.spec.study import Study
from tadtune.track.mlflow_tracking.tracker import Labels

SPLIT_PROTOCOL = "searched on select (cut from the training videos), test scored once"


def launch_tags(study: Study) -> dict[str, str]:
    """Tags of a launch's parent run."""
    return {
        "tadtune.study": study.name,
        "tadtune.study_kind": study.kind,
        "paper": study.paper or "",
        "table": study.table or "",
        "detector": study.parts.detector,
        "dataset": study.parts.dataset,
        "mlflow.note.content": study.claim,
    }


def make_labeller(study: Study, planned: Sequence[PlannedTrial]) -> Callable[[str, Trial], Labels]:
    """A function that names trials of this study."""
    rows: dict[str, list[str]] = {}
    for item in planned:
        rows.setdefault(item.trial.id, []).append(item.row)

    def label(trial_id: str, trial: Trial) -> Labels:
        row = ", ".join(rows.get(trial_id, []))
        sampled = _sampled(study, trial)
        shown = row or ", ".join(f"{path.rsplit('.', 1)[-1]}={_short(value)}" for path, value in sampled.items())
        tags = {
            "paper": study.paper or "",
            "table": study.table or "",
            "row": row,
            "dataset": trial.parts.dataset,
            "detector": trial.parts.detector,
            "tasks": ", ".join(trial.parts.tasks),
            "protocol": trial.parts.protocol,
            "seed": str(trial.seed),
            "split_protocol": SPLIT_PROTOCOL,
        }
        params = {**trial.config, "seed": trial.seed} | reduced_precision(trial.precision)
        return Labels(f"{shown} seed {trial.seed}", tags, params)

    return label


def _sampled(study: Study, trial: Trial) -> dict[str, Any]:
    if study.sweep is None:
        return {}
    return {p.path: trial.config[p.path] for p in study.sweep.space if p.path in trial.config}


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
