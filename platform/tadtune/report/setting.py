"""What differs from the paper's setting: data, every changed field, schedule, processes, precision, metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tadtune.report.data import Deviation, Setting
from tadtune.spec.combination import build_configs, combination_fields
from tadtune.spec.study import PRECISIONS, Parts, Study
from tadtune.spec.tables import PaperTable, find_table


def study_settings(study: Study) -> dict[str, tuple[Parts, Mapping[str, Any]]]:
    """Row key -> parts and values; a sweep has one, its starting point."""
    if study.ablation is None:
        return {"": (study.parts, study.values)}
    return {row.key: (row.parts, row.values) for row in study.ablation.rows}


def describe_setting(study: Study, metrics: tuple[str, ...]) -> Setting:
    """The study's setting against the paper's.

    Args:
        study: the study.
        metrics: names the protocol measures.
    """
    table = None if study.paper is None or study.table is None else find_table(study.paper, study.table)
    same_data = table is not None and study.parts.dataset in table.datasets
    deviations = [*_data(study, table, same_data), *_fields(study), *_epochs(study), *_resources(study)]
    if table is not None:
        deviations += _metrics(table, metrics)
    return Setting(table, same_data, tuple(deviations))


def _data(study: Study, table: PaperTable | None, same_data: bool) -> list[Deviation]:
    if table is None or same_data:
        return []
    paper = ", ".join(table.datasets) or "not named in the table"
    return [Deviation("data set", paper, {study.parts.dataset: ""})]


def _fields(study: Study) -> list[Deviation]:
    """Fields of detector, tasks and protocol that are not at the paper's values: the preset's, else their defaults."""
    settings = study_settings(study)
    paper = dict(study.preset)
    infos: dict[str, Any] = {}
    values: dict[str, dict[str, list[str]]] = {}
    for key, (parts, given) in settings.items():
        config = build_configs(parts, given).plain()
        for path, info in combination_fields(parts).items():
            if path.startswith("dataset.") or info.default is dataclasses.MISSING:
                continue
            if config[path] != plain(paper.setdefault(path, info.default)):
                infos[path] = info
                values.setdefault(path, {}).setdefault(text(config[path]), []).append(key)
    return [
        Deviation(
            path,
            text(plain(paper[path])),
            {value: "" if len(rows) == len(settings) else ", ".join(rows) for value, rows in by_value.items()},
            source=infos[path].source,
            doc=infos[path].doc,
        )
        for path, by_value in sorted(values.items())
    ]


def _epochs(study: Study) -> list[Deviation]:
    """Length of the training recipe, where the detector says it."""
    ours: dict[str, list[str]] = {}
    paper: set[str] = set()
    settings = study_settings(study)
    for key, (parts, given) in settings.items():
        papers = {**study.preset, **_dataset_only(given)}
        own, default = (_num_epochs(build_configs(parts, v).detector) for v in (given, papers))
        if own is not None and default is not None and own != default:
            ours.setdefault(str(own), []).append(key)
            paper.add(str(default))
    if not ours:
        return []
    by_value = {value: "" if len(rows) == len(settings) else ", ".join(rows) for value, rows in ours.items()}
    return [Deviation("epochs of training", ", ".join(sorted(paper)), by_value)]


def _dataset_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """The data set's own settings, which may be required; everything else falls back to the paper's values."""
    return {path: value for path, value in values.items() if path.startswith("dataset.")}


def _num_epochs(detector: Any) -> int | None:
    phases = getattr(detector, "phases", None)
    return None if phases is None else sum(phase.epochs for phase in phases())


def _resources(study: Study) -> list[Deviation]:
    size, precision = study.resources.world_size, study.resources.precision
    deviations = []
    if size > 1:
        deviations.append(Deviation("processes that train one trial", "1", {f"{size}, which share every batch": ""}))
    if precision != PRECISIONS[0]:
        deviations.append(Deviation("precision of layers in training", PRECISIONS[0], {precision: ""}))
    return deviations


def _metrics(table: PaperTable, metrics: tuple[str, ...]) -> list[Deviation]:
    """Metrics of the table that are not measured, and averages over other thresholds."""
    printed = sorted({name for row in table.rows.values() for name in row.values})
    deviations = []
    unmeasured = [name for name in printed if name not in metrics]
    if unmeasured:
        deviations.append(Deviation("metrics of the table", ", ".join(printed), {f"no {', '.join(unmeasured)}": ""}))
    theirs = [name for name in printed if name.startswith("map_tiou_")]
    ours = [name for name in metrics if name.startswith("map_tiou_")]
    if "avg_map" in printed and "avg_map" in metrics and theirs != sorted(ours):
        deviations.append(
            Deviation(
                "tIoU thresholds",
                f"printed: {thresholds(theirs)}",
                {f"avg_map is the mean over {thresholds(ours)}": ""},
            )
        )
    return deviations


def thresholds(names: list[str]) -> str:
    """Thresholds of metric names, in words."""
    return ", ".join(name.removeprefix("map_tiou_") for name in names) or "none"


def plain(value: Any) -> Any:
    """The value as a configuration stores it: tuples are lists."""
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def text(value: Any) -> str:
    """A field's value for people."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(v) for v in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
