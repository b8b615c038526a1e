"""What a study was when it started: a larger one extends it, an incompatible one is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tadtune.plan.trial import inference_plain, reduced_precision
from tadtune.spec.combination import build_configs
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Parts, Study


def study_definition(study: Study) -> dict[str, Any]:
    """The part of a study that must not change between launches, JSON-able.

    Budgets, seeds, resources except the number of processes and precision, sampler, pruner and words may change.
    """
    definition: dict[str, Any] = {
        "kind": study.kind,
        "metric": f"{study.metric.mode} {study.metric.name}",
        "world_size": study.resources.world_size,
        "inference": inference_plain(study.inference),
    } | reduced_precision(study.resources.precision)
    if study.sweep is not None:
        definition["parts"] = _parts(study.parts)
        definition["config"] = build_configs(study.parts, study.values).plain()
        definition["space"] = {p.path: p.plain() for p in study.sweep.space}
        definition["seed"] = study.sweep.seed
    if study.ablation is not None:
        definition["rows"] = {
            row.key: {"parts": _parts(row.parts), "config": build_configs(row.parts, row.values).plain()}
            for row in study.ablation.rows
        }
    return definition


def _parts(parts: Parts) -> dict[str, Any]:
    return {
        "trainable": parts.trainable,
        "detector": parts.detector,
        "tasks": list(parts.tasks),
        "dataset": parts.dataset,
        "protocol": parts.protocol,
    }


def merge_definitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The definition to store when ``new`` continues ``old``: rows of both.

    Raises:
        StudyError: ``new`` changes something that recorded trials depend on; every change is named.
    """
    lines = _changes({k: v for k, v in old.items() if k != "rows"}, {k: v for k, v in new.items() if k != "rows"}, "")
    old_rows, new_rows = old.get("rows", {}), new.get("rows", {})
    for key in old_rows:
        if key in new_rows:
            lines += _changes(old_rows[key], new_rows[key], f"rows.{key}.")
    if lines:
        way_out = "Trials of this study have the old value: rename the study, or change it back."
        raise StudyError([*lines, way_out])
    merged = dict(new)
    if "rows" in new:
        merged["rows"] = {**old_rows, **new_rows}
    return merged


def _changes(old: Any, new: Any, where: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not _is_leaf(old) and not _is_leaf(new):
        lines = []
        for key in sorted({*old, *new}):
            if key not in old:
                lines.append(f"{where}{key}: added ({_short(new[key])}).")
            elif key not in new:
                lines.append(f"{where}{key}: removed (was {_short(old[key])}).")
            else:
                lines += _changes(old[key], new[key], f"{where}{key}.")
        return lines
    return [] if old == new else [f"{where.rstrip('.')}: was {_short(old)}, is now {_short(new)}."]


def _is_leaf(value: Mapping[str, Any]) -> bool:
    """A parameter's definition is shown whole."""
    return bool({"float", "int", "categorical"} & set(value))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
