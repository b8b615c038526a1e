"""Study files into studies: strict, all complaints at once, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tadtune.spec import components
from tadtune.spec.ablation import parse_ablation
from tadtune.spec.combination import build_configs, combination_fields, misfit, protocol_misfit
from tadtune.spec.errors import StudyError, nearest
from tadtune.spec.fields import FieldInfo
from tadtune.spec.sections import Section
from tadtune.spec.space import Parameter, parse_space
from tadtune.spec.study import (
    PRECISIONS,
    PRUNERS,
    SAMPLERS,
    Ablation,
    Budget,
    Component,
    InferenceSearch,
    Metric,
    Parts,
    Resources,
    Study,
    Sweep,
)
from tadtune.spec.tables import find_table, papers

DEFAULT_INFERENCE_TRIALS = 50


def load_study(path: Path) -> Study:
    """Read and validate a study file.

    Raises:
        StudyError: everything wrong with it, one line each.
    """
    if not path.is_file():
        raise StudyError([f"{path}: no such study file. `tadtune list studies` shows the built-in ones."])
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError([f"{path}: not readable as YAML: {' '.join(str(error).split())}."]) from error
    try:
        return parse_study(raw)
    except StudyError as error:
        raise StudyError([f"{path.name}: {line}" for line in error.lines]) from error


def parse_study(raw: Any) -> Study:
    """Validate the content of a study file.

    Raises:
        StudyError: everything wrong with it, one line each.
    """
    lines: list[str] = []
    top = Section(raw, "", lines)
    name = str(top.take("study", str) or "")
    if name and not all(part.replace("-", "_").isidentifier() for part in name.split("/")):
        top.complain("study", f"'{name}' may hold letters, digits, '_', '-' and '/' only")
    kind = top.choice("kind", ("sweep", "ablation"))
    parts = _parts(top)
    own_values = dict(top.section("set").items())
    paper, table = top.choice("paper", papers(), None), top.take("table", str, None)
    claim = str(top.take("claim", str, ""))
    metric = _metric(top.section("metric"))
    report_every = top.positive("report_every", int, 1)
    resources = _resources(top.section("resources"))
    top.raise_if_any()
    infos = _fields(parts, lines)
    preset = _preset(top, parts)
    values = {**preset, **own_values}
    _table(top, paper, table)
    inference_section = top.section("inference")
    sweep: Sweep | None = None
    ablation: Ablation | None = None
    if kind == "sweep":
        sweep, inner_space = _sweep(top, infos, inference_section)
    else:
        ablation = parse_ablation(top, parts, values, paper, table)
        inner_space = _space(inference_section, infos, "inference")
    inference = _inference(inference_section, inner_space)
    top.finish()
    top.raise_if_any()
    _check_configs(parts, values, metric, sweep, inference, ablation, lines)
    for path in sorted({p.path for p in sweep.space} & own_values.keys() if sweep is not None else ()):
        lines.append(f"set.{path}: also varied in `space`; give it in one place only.")
    top.raise_if_any()
    return Study(
        name, claim, paper, table, parts, values, metric, report_every, resources, inference, sweep, ablation, preset
    )


def _parts(top: Section) -> Parts:
    raw_tasks = top.take("tasks", list, [])
    return Parts(
        trainable=top.choice("trainable", components.names("trainable"), "detection"),
        detector=top.choice("detector", components.names("detector")),
        tasks=tuple(sorted(str(t) for t in raw_tasks)),
        dataset=top.choice("dataset", components.names("dataset")),
        protocol=top.choice("protocol", components.names("protocol"), "activitynet"),
    )


def _fields(parts: Parts, lines: list[str]) -> dict[str, FieldInfo]:
    for task in parts.tasks:
        if task not in components.names("task"):
            lines.append(f"tasks: no task '{task}' is installed.{nearest(task, components.names('task'))}")
    if lines:
        raise StudyError(lines)
    reason = misfit(parts.detector, parts.tasks, parts.dataset)
    if reason is not None:
        raise StudyError([f"combination: {reason}."])
    reason = protocol_misfit(parts.detector, parts.protocol)
    if reason is not None:
        fitting = [name for name in components.names("protocol") if protocol_misfit(parts.detector, name) is None]
        raise StudyError([f"combination: {reason}. Protocols that fit: {', '.join(fitting) or 'none'}."])
    return combination_fields(parts)


def _preset(top: Section, parts: Parts) -> dict[str, Any]:
    """The values of the detector's preset that the study names, by full path; {} where it names none."""
    name = top.take("preset", str, None)
    if name is None:
        return {}
    known = getattr(components.load("detector", parts.detector), "presets", {})
    if name not in known:
        hint = nearest(name, known) or " It has none."
        top.complain("preset", f"detector '{parts.detector}' has no preset '{name}'.{hint}")
        return {}
    return {f"detector.{path}": value for path, value in known[name].items()}


def _metric(section: Section) -> Metric:
    name = str(section.take("name", str, "avg_map")).removeprefix("select/")
    if name.startswith("test/"):
        section.complain("name", "a study may not optimise or choose on 'test'; use the same metric on 'select'")
    mode = section.choice("mode", ("max", "min"), "max")
    section.finish()
    return Metric(name, mode)


def _resources(section: Section) -> Resources:
    resources = Resources(
        workers=section.positive("workers", int, 0, least=0),
        cpus=section.positive("cpus", (int, float), 1.0, least=0.1),
        gpus=section.positive("gpus", (int, float), 0.0, least=0),
        max_concurrent=section.positive("max_concurrent", int, None),
        timeout_s=section.seconds("timeout"),
        precision=section.choice("precision", PRECISIONS, PRECISIONS[0]),
    )
    if resources.workers > 1 and resources.gpus % 1:
        section.complain("gpus", f"{resources.gpus} per worker: data-parallel workers need whole GPUs")
    elif resources.gpus > 1 and resources.gpus % 1:
        section.complain("gpus", f"{resources.gpus}: a process takes a share of one GPU, or whole ones")
    if resources.timeout_s is not None and resources.timeout_s <= 0:
        section.complain("timeout", f"{resources.timeout_s:g} s is no time at all; leave it out for no limit")
    section.finish()
    return resources


def _table(top: Section, paper: str | None, table: str | None) -> None:
    if table is None:
        return
    if paper is None:
        top.complain("table", "names a table without naming its paper; add `paper:`")
        return
    try:
        find_table(paper, table)
    except StudyError as error:
        top.lines.extend(error.lines)


def _acting(infos: Mapping[str, FieldInfo], acts: str) -> dict[str, FieldInfo]:
    return {path: info for path, info in infos.items() if info.acts == acts}


def _space(section: Section, infos: Mapping[str, FieldInfo], acts: str | None = None) -> tuple[Parameter, ...]:
    """The ``space`` of a section, over all fields or those that act at one time."""
    raw = section.take("space", (dict, str), {})
    varied = infos if acts is None else _acting(infos, acts)
    try:
        return parse_space(raw, varied, where=section.name("space"), conditions=infos)
    except StudyError as error:
        section.lines.extend(error.lines)
        return ()


def _sweep(
    top: Section, infos: Mapping[str, FieldInfo], inference: Section
) -> tuple[Sweep | None, tuple[Parameter, ...]]:
    space = _space(top, infos)
    if not space and not top.lines:
        top.complain("space", "a sweep needs at least one field to vary, or `auto`")
    budget = top.section("budget")
    trials = budget.positive("trials", int, 20)
    time_s = budget.seconds("time")
    checkpoints = budget.positive("checkpoints", int, None, least=0)
    budget.finish()
    sweep = Sweep(
        space=tuple(p for p in space if p.acts == "training"),
        budget=Budget(trials, time_s, checkpoints),
        sampler=_component(top, "sampler", SAMPLERS, "tpe"),
        pruner=_component(top, "pruner", PRUNERS, "none"),
        seed=top.take("seed", int, 0),
    )
    extra = _space(inference, infos, "inference")
    inner = {p.path: p for p in space if p.acts == "inference"} | {p.path: p for p in extra}
    if space and not sweep.space:
        top.complain("space", "only inference parameters vary: use an ablation with an `inference` section instead")
    return sweep, tuple(inner.values())


def _component(top: Section, key: str, known: tuple[str, ...], default: str) -> Component:
    name, options = top.named(key, default)
    if name not in known:
        top.complain(key, f"'{name}' is not one of the choices.{nearest(name, known)}")
    return Component(name, dict(options.items()))


def _inference(section: Section, space: tuple[Parameter, ...]) -> InferenceSearch:
    trials = section.positive("trials", int, DEFAULT_INFERENCE_TRIALS)
    section.finish()
    return InferenceSearch(space, trials if space else 0)


def _check_configs(
    parts: Parts,
    values: Mapping[str, Any],
    metric: Metric,
    sweep: Sweep | None,
    inference: InferenceSearch,
    ablation: Ablation | None,
    lines: list[str],
) -> None:
    """Every configuration the study can start from must build and be measured, and the space must hold the start."""
    for row in ablation.rows if ablation is not None else ():
        try:
            configs = build_configs(row.parts, row.values)
            _check_inner(configs.plain(), inference, f"rows.{row.key}", lines)
            _check_metric(metric, configs.protocol, parts.protocol, lines)
        except StudyError as error:
            lines.extend(f"rows.{row.key}: {line}" for line in error.lines)
    if ablation is not None:
        return
    try:
        configs = build_configs(parts, values)
    except StudyError as error:
        lines.extend(f"set: {line}" for line in error.lines)
        return
    _check_metric(metric, configs.protocol, parts.protocol, lines)
    start = configs.plain()
    for parameter in sweep.space if sweep is not None else ():
        value = start[parameter.path]
        value = tuple(value) if isinstance(value, list) else value
        if not parameter.contains(value):
            lines.append(
                f"space.{parameter.path}: does not contain the starting value {value!r}, which is the sweep's first "
                "trial; widen the range."
            )


def _check_metric(metric: Metric, protocol: Any, name: str, lines: list[str]) -> None:
    """A protocol that does not measure what is optimised or compared would be noticed after the first epoch."""
    known = protocol.metric_names()
    line = f"metric.name: protocol '{name}' measures no '{metric.name}', but {', '.join(known)}."
    if metric.name not in known and line not in lines:
        lines.append(line)


def _check_inner(plain: Mapping[str, Any], inference: InferenceSearch, where: str, lines: list[str]) -> None:
    lines.extend(
        f"inference.space.{p.path}: {where} has no such field." for p in inference.space if p.path not in plain
    )
