"""Samplers, pruners and parameters of a study, as Optuna's own objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import optuna

from tadtune.spec.errors import StudyError
from tadtune.spec.space import Parameter
from tadtune.spec.study import Component, Metric

_SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
    "gp": optuna.samplers.GPSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "qmc": optuna.samplers.QMCSampler,
}
_PRUNERS = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "asha": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}


def make_sampler(component: Component, space: tuple[Parameter, ...], seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a study file.

    Raises:
        StudyError: it takes no such option.
    """
    options = dict(component.options)
    if component.name == "tpe" and any(p.when for p in space):
        options.setdefault("group", True)  # conditional parameters are sampled jointly within their branch
    return _make("sampler", component.name, _SAMPLERS[component.name], {**options, "seed": seed})


def make_pruner(component: Component) -> optuna.pruners.BasePruner:
    """The pruner of a study file.

    Raises:
        StudyError: it takes no such option.
    """
    return _make("pruner", component.name, _PRUNERS[component.name], component.options)


def _make(kind: str, name: str, cls: Any, options: Mapping[str, Any]) -> Any:
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        raise StudyError([f"{kind} '{name}': Optuna's {cls.__name__} refuses its options: {error}."]) from error


def direction(metric: Metric) -> str:
    """Optuna's word for the metric's mode."""
    return "maximize" if metric.mode == "max" else "minimize"


def distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    """Optuna's distribution of a parameter."""
    if parameter.kind == "categorical":
        return optuna.distributions.CategoricalDistribution([encode(c) for c in parameter.choices])
    if parameter.kind == "int":
        return optuna.distributions.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def encode(value: Any) -> Any:
    """A choice as Optuna stores it: lists become JSON text."""
    return json.dumps(list(value)) if isinstance(value, (list, tuple)) else value


def decode(parameter: Parameter, stored: Any) -> Any:
    """The value behind what Optuna stores."""
    if parameter.kind != "categorical":
        return stored
    return next(choice for choice in parameter.choices if encode(choice) == stored)


def active(parameter: Parameter, values: Mapping[str, Any]) -> bool:
    """Whether the parameter's conditions hold for these values (full field path -> value)."""
    return all(_plain(values.get(path)) in [_plain(v) for v in allowed] for path, allowed in parameter.when)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def suggest(trial: optuna.trial.Trial, space: tuple[Parameter, ...], base: Mapping[str, Any]) -> dict[str, Any]:
    """Sample the active parameters, conditions after what they depend on.

    Args:
        trial: Optuna's trial.
        space: parameters to sample.
        base: every field's value where it is not sampled.
    """
    values: dict[str, Any] = {}
    waiting = list(space)
    while waiting:
        names = {p.path for p in waiting}
        ready = [p for p in waiting if not any(path in names for path, _ in p.when)]
        if not ready:
            raise StudyError([f"space: the conditions of {', '.join(sorted(names))} depend on each other."])
        for parameter in ready:
            if active(parameter, {**base, **values}):
                values[parameter.path] = _sample(trial, parameter)
        waiting = [p for p in waiting if p not in ready]
    return values


def _sample(trial: optuna.trial.Trial, parameter: Parameter) -> Any:
    if parameter.kind == "categorical":
        return decode(parameter, trial.suggest_categorical(parameter.path, [encode(c) for c in parameter.choices]))
    if parameter.kind == "int":
        return trial.suggest_int(parameter.path, int(parameter.low), int(parameter.high), log=parameter.log)
    return trial.suggest_float(parameter.path, parameter.low, parameter.high, log=parameter.log)


def start_point(space: tuple[Parameter, ...], config: Mapping[str, Any]) -> dict[str, Any]:
    """The given configuration as parameters of the space, as far as the space can express it."""
    point = {}
    for parameter in space:
        value = config[parameter.path]
        value = tuple(value) if isinstance(value, list) else value
        if active(parameter, config) and parameter.contains(value):
            point[parameter.path] = encode(value)
    return point
