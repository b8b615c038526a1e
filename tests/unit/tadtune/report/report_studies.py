"""Studies and records for tests of the statistics and the reports, written through the classes the engine uses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from tadtune.plan.ablation import plan_ablation
from tadtune.plan.trial import Trial, make_trial
from tadtune.spec import components
from tadtune.spec.space import Parameter
from tadtune.spec.study import (
    Ablation,
    Budget,
    Component,
    InferenceSearch,
    Metric,
    Parts,
    Resources,
    Row,
    Study,
    Sweep,
)
from tadtune.track.record import Report, Result
from tadtune.track.study_folder import StudyFolder

PARTS = Parts("lab_trainable", "lab_detector", (), "lab_data", "lab_protocol")
METRICS = ("map_tiou_0.50", "avg_map")
PROVENANCE = {"code": "c" * 64, "data": "d" * 64, "versions": {"torch": "2.13.0"}, "python": "3.11.9", "host": "node-1"}


@dataclass(frozen=True)
class LabDetector:
    inputs: ClassVar[str] = "feats"

    x: float = field(
        default=0.1,
        metadata={"doc": "weight of the second loss", "search": (0.01, 1.0), "log": True, "source": "Eq. (7)"},
    )
    blocks: int = field(default=2, metadata={"doc": "cascaded classifiers", "search": (1, 4), "source": "III-D"})
    mode: str = field(default="plain", metadata={"doc": "pooling", "choices": ("plain", "attention")})
    nms: float = field(default=0.5, metadata={"doc": "tIoU of NMS", "search": (0.1, 0.9), "acts": "inference"})
    epochs: int = field(default=30, metadata={"doc": "passes over train", "source": "IV-B"})

    def phases(self) -> tuple[Any, ...]:
        return (SimpleNamespace(epochs=self.epochs),)


@dataclass(frozen=True)
class LabData:
    key: ClassVar[str] = "lab_data"
    inputs: ClassVar[str] = "feats"
    seed: int = 0


@dataclass(frozen=True)
class LabProtocol:
    """A metric is the weighted mean of a value per video; matches are those values as JSON."""

    version: ClassVar[str] = "3"

    def metric_names(self) -> tuple[str, ...]:
        return METRICS

    def load_matches(self, path: Path) -> np.ndarray:
        return np.asarray(json.loads(path.read_text(encoding="utf-8")), np.float64)

    def num_videos(self, matches: np.ndarray) -> int:
        return len(matches)

    def resample(self, matches: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return weights @ matches / weights.sum(axis=1, keepdims=True)


def install(patch: Callable[[object, str, Any], None], **others: Any) -> None:
    """Make the lab's parts and ``others``, by name, the ones that are found; ``patch`` is ``monkeypatch.setattr``."""
    parts = {"lab_detector": LabDetector, "lab_data": LabData, "lab_protocol": LabProtocol, **others}
    patch(components, "load", lambda kind, name: parts[name])


def make_ablation(
    rows: Mapping[str, tuple[Mapping[str, Any], str | None]],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    baseline: str | None = None,
    parts: Parts = PARTS,
    **study: Any,
) -> Study:
    """An ablation; rows are key -> (values, paper row)."""
    made = tuple(Row(key, parts, dict(values), paper_row) for key, (values, paper_row) in rows.items())
    return _study(parts, {}, ablation=Ablation(made, baseline or next(iter(rows)), tuple(seeds)), **study)


def make_sweep(
    *,
    values: Mapping[str, Any] | None = None,
    trials: int = 20,
    inner: bool = False,
    parts: Parts = PARTS,
    **study: Any,
) -> Study:
    """A sweep over the lab detector's training parameters."""
    space = (
        Parameter("detector.blocks", "int", 1, 4),
        Parameter("detector.mode", "categorical", choices=("plain", "attention")),
        Parameter("detector.x", "float", 0.01, 1.0, log=True),
    )
    search = InferenceSearch((Parameter("detector.nms", "float", 0.1, 0.9, acts="inference"),), 10) if inner else None
    sweep = Sweep(space, Budget(trials), Component("tpe"), Component("none"), seed=0)
    return _study(parts, values or {}, sweep=sweep, inference=search or InferenceSearch(), **study)


def _study(parts: Parts, values: Mapping[str, Any], **given: Any) -> Study:
    known: dict[str, Any] = {
        "name": "lab/study",
        "claim": "Every module helps.",
        "paper": None,
        "table": None,
        "metric": Metric("avg_map", "max"),
        "report_every": 1,
        "resources": Resources(),
        "inference": InferenceSearch(),
    }
    return Study(parts=parts, values=dict(values), **{**known, **given})


def planned(study: Study) -> dict[tuple[str, int], Trial]:
    """(row, seed) -> trial."""
    return {(item.row, item.trial.seed): item.trial for item in plan_ablation(study)}


def sweep_trial(study: Study, values: Mapping[str, Any]) -> Trial:
    return make_trial(study, study.parts, {**study.values, **values}, 0)


def finish(
    folder: StudyFolder,
    trial: Trial,
    metrics: Mapping[str, float],
    *,
    objective: float | None = None,
    status: str = "complete",
    finished_at: float = 1.0,
    inference: Mapping[str, Any] | None = None,
    error: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Record a trial that ended; returns its folder of artifacts."""
    record = folder.record(trial.id)
    record.start(trial, {**PROVENANCE, **(provenance or {})})
    record.append(Report(1, finished_at, {"select/avg_map": metrics.get("select/avg_map", 0.0)}, 1.0))
    record.finish(
        Result(
            status,  # type: ignore[arg-type]
            metrics=metrics,
            objective=metrics.get("select/avg_map") if objective is None else objective,
            epochs=1,
            seconds=1.0,
            finished_at=finished_at,
            inference=inference or {},
            error=error,
        )
    )
    record.artifacts.mkdir(parents=True, exist_ok=True)
    return record.artifacts


def finish_with_videos(
    folder: StudyFolder, trial: Trial, videos: np.ndarray, *, split: str = "test", **how: Any
) -> Path:
    """Record a trial whose score is the mean of (V,) values, with matches; both metrics are the same."""
    value = float(np.mean(videos))
    names = [f"{split}/{name}" for name in METRICS]
    artifacts = finish(folder, trial, dict.fromkeys([*names, "select/avg_map"], value), **how)
    matches = np.repeat(np.asarray(videos)[:, None], len(METRICS), axis=1)
    (artifacts / f"matches_{split}.arrow").write_text(json.dumps(matches.tolist()), encoding="utf-8")
    return artifacts
