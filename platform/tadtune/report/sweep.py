"""The trials of a sweep, from the records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tadtune.plan.trial import make_trial
from tadtune.report.data import SweepReport, SweepTrial
from tadtune.report.importance import importances
from tadtune.report.resampling import resample_trial
from tadtune.report.setting import plain
from tadtune.spec.space import Parameter
from tadtune.spec.study import Metric, Study, Sweep
from tadtune.track.record import Result, TrialRecord
from tadtune.track.statistics import Difference, Resampled, differences, row_statistics
from tadtune.track.study_folder import StudyFolder


def collect_sweep(study: Study, folder: StudyFolder, protocol: Any) -> tuple[SweepReport, list[str]]:
    """Every trial, the best one against the starting point, and warnings about what could not be paired.

    Args:
        study: a sweep.
        folder: its folder.
        protocol: the evaluation protocol.
    """
    assert isinstance(study.sweep, Sweep), "a sweep"
    trials = _trials(study, folder)
    scored = [t for t in trials if t.status == "complete" and t.objective is not None and math.isfinite(t.objective)]
    best = max(scored, key=lambda t: (study.metric.sign * (t.objective or 0.0), -t.number), default=None)
    start_id = make_trial(study, study.parts, study.values, study.sweep.seed).id
    start = next((t for t in scored if t.id == start_id), None)
    gains: dict[str, Difference] = {}
    warnings: list[str] = []
    if best is not None and start is not None and best is not start:
        gains, warnings = _gains(folder.record(best.id), folder.record(start.id), study.sweep.seed, protocol)
    return SweepReport(trials, best, start, gains, importances(study, trials)), warnings


def _trials(study: Study, folder: StudyFolder) -> tuple[SweepTrial, ...]:
    """In the order in which they ended; unfinished ones last."""
    assert study.sweep is not None, "a sweep"
    found = [(i, record, record.result()) for i, record in folder.records().items()]
    found.sort(key=lambda item: (math.inf if item[2] is None else item[2].finished_at, item[0]))
    trials: list[SweepTrial] = []
    best: float | None = None
    for number, (trial_id, record, result) in enumerate(found, start=1):
        trial = record.trial()
        if trial is None:
            continue
        ended = result or Result("failed")
        best = _better(study.metric, best, ended)
        trials.append(
            SweepTrial(
                id=trial_id,
                number=number,
                status="running" if result is None else result.status,
                config=trial.config,
                values={p.path: trial.config[p.path] for p in study.sweep.space if _active(p, trial.config)},
                objective=ended.objective if ended.status in ("complete", "pruned") else None,
                best=best,
                metrics=ended.metrics if ended.status == "complete" else {},
                inference=ended.inference,
            )
        )
    return tuple(trials)


def _active(parameter: Parameter, config: Mapping[str, Any]) -> bool:
    """Whether the trial has the field and its conditions held, so that its value was sampled."""
    held = all(config.get(path) in plain(allowed) for path, allowed in parameter.when)
    return parameter.path in config and held


def _better(metric: Metric, best: float | None, result: Result) -> float | None:
    value = result.objective
    if result.status != "complete" or value is None or not math.isfinite(value):
        return best
    return value if best is None or metric.sign * (value - best) > 0 else best


def _gains(best: TrialRecord, start: TrialRecord, seed: int, protocol: Any) -> tuple[dict[str, Difference], list[str]]:
    results = [record.result() for record in (best, start)]
    assert results[0] is not None and results[1] is not None, "complete trials"
    samples = [resample_trial(record, r, protocol) for record, r in zip((best, start), results, strict=True) if r]
    same = samples[0].videos == samples[1].videos
    arrays: tuple[Resampled, Resampled] = ({}, {})
    if same:
        arrays = (_one_seed(samples[0].metrics, seed), _one_seed(samples[1].metrics, seed))
    rows = [row_statistics(name, {seed: result}) for name, result in zip(("best", "start"), results, strict=True)]
    problems = sorted({sample.problem for sample in samples if sample.problem})
    if not same and not problems:
        problems = ["they were scored on different test videos"]
    warnings = [f"No interval for best against starting point: {problem}." for problem in problems]
    return differences(rows[0], rows[1], resampled=arrays, paper=({}, {})), warnings


def _one_seed(metrics: Mapping[str, Any], seed: int) -> Resampled:
    return {name: {seed: values} for name, values in metrics.items()}
