"""What a user types after ``tadtune eval``, made into a protocol."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib.metadata import entry_points
from typing import Any

from trainables.evaluation.detection.detection_map import ACTIVITYNET_GRID

#: Where protocols are found, ours and those of other packages: those that studies can use, and those of predictions
#: that no detector makes.
GROUPS = ("tadtune.protocols", "tadtune.metrics")


def make_protocol(name: str, **settings: Any) -> Any:
    """A protocol by name with some of its fields set.

    Args:
        name: an entry point of :data:`GROUPS`.
        settings: field -> value; None leaves the protocol's own.

    Raises:
        ValueError: no such protocol, or one without such a field.
    """
    points = {point.name: point for group in GROUPS for point in entry_points(group=group)}
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"protocol '{name}' is none of {', '.join(sorted(points))}{hint}")
    protocol = points[name].load()()
    given = {field: value for field, value in settings.items() if value is not None}
    known = {f.name for f in fields(protocol)}
    for field in given:
        if field not in known:
            raise ValueError(f"protocol '{name}' has no {field}; its settings are {', '.join(sorted(known)) or 'none'}")
    return replace(protocol, **given)


def with_settings(protocol: Any, settings: Sequence[str]) -> Any:
    """The protocol with further fields set from text.

    Args:
        protocol: the protocol.
        settings: ``name=value`` each; lists are separated by commas, "none" stands for None.

    Raises:
        ValueError: another form, no such field, or a value of another kind than its default.
    """
    known = {f.name: f.default for f in fields(protocol)}
    given: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"set: '{text}' is not name=value")
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ValueError(f"protocol '{protocol.key}' has no {name}; its settings are {names}")
        given[name] = _value(name, value, known[name])
    return replace(protocol, **given)


def _value(name: str, text: str, default: Any) -> Any:
    """A value of the kind of its default."""
    if text == "none":
        return None
    kind = type(default[0] if isinstance(default, tuple) and default else default)
    convert = kind if kind in (int, float) else str
    try:
        if isinstance(default, tuple):
            return tuple(convert(part.strip()) for part in text.split(",") if part.strip())
        return convert(text)
    except ValueError as error:
        raise ValueError(f"{name}: '{text}' is not of the kind of its default {default}") from error


def parse_grid(text: str) -> tuple[float, ...]:
    """Thresholds from ``0.5``, ``0.3,0.5,0.7`` or ``0.3:0.7:0.1`` (first, last, step; the last one is included).

    Values are the decimal numbers one reads, but for ActivityNet's grid 0.5:0.95:0.05, which is the official one bit
    for bit.

    Raises:
        ValueError: another form, or a step that does not lead from the first to the last.
    """
    complaint = f"tiou: '{text}' is neither 0.5 nor 0.3,0.5,0.7 nor 0.3:0.7:0.1 (first:last:step)"
    try:
        if ":" not in text:
            return tuple(float(part) for part in text.split(","))
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise ValueError(complaint) from error
    if not 0 < step < float("inf") or not first <= last < float("inf"):
        raise ValueError(complaint)
    number = round((last - first) / step)
    if abs(first + number * step - last) > 1e-6:
        raise ValueError(f"tiou: '{text}': steps of {step} from {first} do not end at {last}")
    grid = tuple(round(first + k * step, 10) for k in range(number + 1))
    official = tuple(round(t, 10) for t in ACTIVITYNET_GRID)
    return ACTIVITYNET_GRID if grid == official else grid
