"""Finding detectors, tasks, data sets, protocols and trainables through Python entry points."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tadtune.spec.errors import StudyError, nearest

GROUPS = {
    "trainable": "tadtune.trainables",
    "detector": "tadtune.detectors",
    "task": "tadtune.tasks",
    "dataset": "tadtune.datasets",
    "protocol": "tadtune.protocols",
    "metric": "tadtune.metrics",
    "command": "tadtune.commands",
}


@cache
def _points(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUPS[kind])}


def names(kind: str) -> list[str]:
    """Names that packages in this environment offer for ``kind``, sorted."""
    return sorted(_points(kind))


def load(kind: str, name: str) -> Any:
    """What the entry point of that name refers to.

    Raises:
        StudyError: no installed package offers it, or importing it fails.
    """
    points = _points(kind)
    if name not in points:
        raise StudyError([f"{kind}: no {kind} '{name}' is installed.{nearest(name, points)}"])
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise StudyError([f"{kind} '{name}': its entry point {points[name].value} fails: {error}."]) from error
