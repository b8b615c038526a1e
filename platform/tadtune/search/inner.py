"""The inner study: inference parameters searched on a trial's stored outputs of ``select``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from tadtune.search.optuna_parts import start_point, suggest
from tadtune.spec.space import Parameter


@dataclass(frozen=True)
class Tuned:
    """Outcome of an inner study.

    Attributes:
        values: best inference values, full field path -> value; {} where nothing beat the starting point.
        objective: their metric on ``select``.
        start: the metric at the starting point (the paper's inference values).
        evaluations: number of configurations scored.
    """

    values: Mapping[str, Any]
    objective: float
    start: float
    evaluations: int


def tune_inference(
    score: Callable[[Mapping[str, Any]], float],
    space: tuple[Parameter, ...],
    config: Mapping[str, Any],
    *,
    trials: int,
    seed: int,
    mode: str,
) -> Tuned:
    """Search inference parameters with TPE; deterministic for a seed.

    Args:
        score: full field path -> value of the changed parameters, to the metric on ``select``.
        space: parameters that act at inference.
        config: every field's value at the starting point.
        trials: evaluations besides the starting point.
        seed: of the sampler.
        mode: "max" or "min".
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    start = score({})
    study = optuna.create_study(
        direction="maximize" if mode == "max" else "minimize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    point = start_point(space, config)
    if point:
        study.enqueue_trial(point)
    best_values: Mapping[str, Any] = {}
    best = start
    for _ in range(trials):
        trial = study.ask()
        values = suggest(trial, space, config)
        value = score(values)
        study.tell(trial, value)
        if (value > best) if mode == "max" else (value < best):
            best_values, best = values, value
    return Tuned(best_values, best, start, trials + 1)
