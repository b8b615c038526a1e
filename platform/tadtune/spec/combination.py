"""A combination of detector, auxiliary tasks, data set and protocol: its fields, its configurations, its fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tadtune.spec import components
from tadtune.spec.errors import StudyError, nearest
from tadtune.spec.fields import FieldInfo, build_config, field_infos, to_plain
from tadtune.spec.study import Parts

_LABELS = ("none", "video_labels", "segments")


@dataclass(frozen=True)
class Configs:
    """Built configurations of one trial.

    Attributes:
        detector: the detector's ``Config``.
        tasks: task name -> its ``Config``.
        dataset: the data set's ``Config``.
        protocol: the protocol itself (a frozen dataclass).
    """

    detector: Any
    tasks: Mapping[str, Any]
    dataset: Any
    protocol: Any

    def plain(self) -> dict[str, Any]:
        """Every field as full path -> JSON-able value."""
        sections = {"detector": self.detector, "dataset": self.dataset, "protocol": self.protocol}
        sections |= {f"tasks.{name}": config for name, config in self.tasks.items()}
        return {
            f"{where}.{path}": value for where, c in sorted(sections.items()) for path, value in to_plain(c).items()
        }


def _classes(parts: Parts) -> dict[str, type]:
    found = {
        "detector": components.load("detector", parts.detector),
        "dataset": components.load("dataset", parts.dataset),
        "protocol": components.load("protocol", parts.protocol),
    }
    return found | {f"tasks.{name}": components.load("task", name) for name in parts.tasks}


def combination_fields(parts: Parts) -> dict[str, FieldInfo]:
    """Every field of the combination by full path, for instance ``detector.ccm.xi_era``.

    Raises:
        StudyError: a part is not installed.
    """
    return {f"{where}.{path}": i for where, cls in _classes(parts).items() for path, i in field_infos(cls).items()}


def build_configs(parts: Parts, values: Mapping[str, Any]) -> Configs:
    """Configurations with ``values`` (full path -> value) over the defaults.

    Raises:
        StudyError: unknown paths, wrong types, values out of bounds; one line each. Or the detector so configured
            reads something else than the data set holds, or cannot have these tasks.
    """
    classes = _classes(parts)
    lines: list[str] = []
    by_section: dict[str, dict[str, Any]] = {where: {} for where in classes}
    for path, value in values.items():
        where = next((w for w in classes if path.startswith(f"{w}.")), None)
        if where is None:
            lines.append(f"{path}: no such field.{nearest(path, combination_fields(parts))}")
        else:
            by_section[where][path.removeprefix(f"{where}.")] = value
    built: dict[str, Any] = {}
    for where, cls in classes.items():
        try:
            built[where] = build_config(cls, by_section[where], where=where)
        except StudyError as error:
            lines.extend(error.lines)
    if lines:
        raise StudyError(lines)
    inputs, held = built["detector"].inputs, built["dataset"].inputs
    if inputs != held:
        raise StudyError([f"combination: {_other_inputs(inputs, held, parts.detector, parts.dataset)}."])
    tasks = {name: built[f"tasks.{name}"] for name in parts.tasks}
    if hasattr(built["detector"], "check_tasks"):
        try:
            built["detector"].check_tasks(parts.tasks)
        except ValueError as error:
            raise StudyError([f"combination: detector.{error}"]) from error
    for name, task in tasks.items():
        if hasattr(task, "check_host"):
            try:
                task.check_host(built["detector"])
            except ValueError as error:
                raise StudyError([f"combination: tasks.{name}.{error}"]) from error
    return Configs(built["detector"], tasks, built["dataset"], built["protocol"])


def _other_inputs(inputs: str, held: str, detector: str, dataset: str) -> str:
    return f"detector '{detector}' reads {inputs}, data set '{dataset}' holds {held}"


def misfit(detector: str, tasks: tuple[str, ...], dataset: str) -> str | None:
    """Why a combination cannot run, every reason of the first part that does not fit, or None where it can.

    A detector reads what the data set holds, features or frames. A task may neither read a view the detector does not
    offer nor labels the detector is forbidden to see, and the tasks it builds upon have to be there.
    """
    host = components.load("detector", detector)
    data = components.load("dataset", dataset)
    # a detector that reads either says which only when it is configured
    if isinstance(host.inputs, str) and host.inputs != data.inputs:
        return _other_inputs(host.inputs, data.inputs, detector, dataset)
    if _LABELS.index(host.supervision) > _LABELS.index(data.supervision):
        return f"detector '{detector}' needs {host.supervision}, data set '{dataset}' has {data.supervision}"
    for name in tasks:
        reasons = _task_misfits(name, components.load("task", name), detector, host, tasks)
        if reasons:
            return "; ".join(reasons)
    return None


def protocol_misfit(detector: str, protocol: str) -> str | None:
    """Why a protocol cannot score what a detector answers with, or None where it can."""
    said, scored = answer_of(detector), scored_by(protocol)
    return (
        None if said == scored else f"detector '{detector}' answers with {said}, protocol '{protocol}' takes {scored}"
    )


def answer_of(detector: str) -> str:
    """What a detector answers with, in words."""
    kind: str = getattr(components.load("detector", detector), "answers", "detections")
    return kind.replace("_", " ")


def scored_by(protocol: str) -> str:
    """What a protocol takes, in words."""
    kind: str = getattr(components.load("protocol", protocol), "takes", "detections")
    return kind.replace("_", " ")


def with_companions(task: str) -> tuple[str, ...]:
    """A task and those it does not work without, sorted."""
    return tuple(sorted({task, *_companions(components.load("task", task))}))


def _companions(task: Any) -> tuple[str, ...]:
    return tuple(getattr(task, "beside", ()))


def _task_misfits(name: str, task: Any, detector: str, host: Any, tasks: tuple[str, ...]) -> list[str]:
    reasons = []
    read = getattr(task, "inputs", host.inputs)
    if isinstance(host.inputs, str) and host.inputs != read:
        reasons.append(f"task '{name}' works on {read}, detector '{detector}' reads {host.inputs}")
    missing = [view for view in task.requires if view not in host.views]
    if missing:
        reasons.append(f"task '{name}' needs {', '.join(missing)}, which detector '{detector}' does not offer")
    if _LABELS.index(task.supervision) > _LABELS.index(host.supervision):
        reasons.append(
            f"task '{name}' reads {task.supervision}, detector '{detector}' is trained with "
            f"{host.supervision} only and may not read more"
        )
    absent = [other for other in _companions(task) if other not in tasks]
    if absent:
        listed = ", ".join(f"'{other}'" for other in absent)
        reasons.append(f"task '{name}' builds upon {listed}; add {listed} to the tasks, or leave '{name}' out")
    return reasons
