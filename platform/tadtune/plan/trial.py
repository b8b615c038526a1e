"""A trial: one fully resolved configuration plus seed, and its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tadtune.spec.combination import Configs, build_configs
from tadtune.spec.space import Parameter
from tadtune.spec.study import PRECISIONS, InferenceSearch, Parts, Study

ID_LENGTH = 16


@dataclass(frozen=True)
class Trial:
    """One run of a trainable.

    Attributes:
        parts: what it is made of.
        config: every field, full path -> JSON-able value.
        seed: of weights, order and all draws.
        world_size: number of processes that train it; belongs to the identity, as sums are rounded in another order.
        inference: the inner study's definition, JSON-able ({} = none).
        precision: of what layers multiply in training.
    """

    parts: Parts
    config: Mapping[str, Any]
    seed: int
    world_size: int
    inference: Mapping[str, Any]
    precision: str = PRECISIONS[0]

    def plain(self) -> dict[str, Any]:
        """JSON-able; :func:`trial_from_plain` reads it back."""
        plain = {
            "trainable": self.parts.trainable,
            "detector": self.parts.detector,
            "tasks": list(self.parts.tasks),
            "dataset": self.parts.dataset,
            "protocol": self.parts.protocol,
            "config": dict(self.config),
            "seed": self.seed,
            "world_size": self.world_size,
            "inference": dict(self.inference),
        }
        return plain | reduced_precision(self.precision)

    @cached_property
    def id(self) -> str:
        """The same configuration and seed give the same id, on any machine."""
        return digest(self.plain())[:ID_LENGTH]

    def configs(self) -> Configs:
        """The configuration objects."""
        return build_configs(self.parts, self.config)


def digest(plain: Any) -> str:
    """SHA-256 of a JSON-able value, whatever the order of its keys."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def trial_from_plain(plain: Mapping[str, Any]) -> Trial:
    """Inverse of :meth:`Trial.plain`."""
    parts = Parts(plain["trainable"], plain["detector"], tuple(plain["tasks"]), plain["dataset"], plain["protocol"])
    precision = plain.get("precision", PRECISIONS[0])
    return Trial(parts, plain["config"], plain["seed"], plain["world_size"], plain["inference"], precision)


def reduced_precision(precision: str) -> dict[str, str]:
    """How a precision enters identities: the usual one not at all."""
    return {} if precision == PRECISIONS[0] else {"precision": precision}


def inference_plain(search: InferenceSearch) -> dict[str, Any]:
    """Definition of the inner study as it enters a trial's identity."""
    if not search.space:
        return {}
    return {"space": {p.path: p.plain() for p in search.space}, "trials": search.trials}


def inference_space(plain: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The inner study's parameters from a trial's ``inference``."""
    return tuple(_parameter(path, body) for path, body in sorted(plain.get("space", {}).items()))


def _parameter(path: str, body: Mapping[str, Any]) -> Parameter:
    when = tuple((other, tuple(_hashable(v) for v in values)) for other, values in body.get("when", {}).items())
    if "categorical" in body:
        choices = tuple(_hashable(c) for c in body["categorical"])
        return Parameter(path, "categorical", choices=choices, when=when, acts="inference")
    kind = "int" if "int" in body else "float"
    low, high = body[kind]
    return Parameter(path, kind, low, high, body["log"], when=when, acts="inference")  # type: ignore[arg-type]


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def make_trial(study: Study, parts: Parts, values: Mapping[str, Any], seed: int) -> Trial:
    """The trial of one setting of a study."""
    config = build_configs(parts, values).plain()
    search = InferenceSearch(tuple(p for p in study.inference.space if p.path in config), study.inference.trials)
    resources = study.resources
    return Trial(parts, config, seed, resources.world_size, inference_plain(search), resources.precision)
