"""Search spaces: what a study file says about a field, turned into a parameter to sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tadtune.spec.errors import StudyError, nearest
from tadtune.spec.fields import FieldInfo, check_value

Kind = Literal["float", "int", "categorical"]


@dataclass(frozen=True)
class Parameter:
    """One dimension of a search space.

    Attributes:
        path: full path of the field, for instance ``detector.ccm.xi_era``.
        kind: how it is sampled.
        low: inclusive lower end (float and int).
        high: inclusive upper end (float and int).
        log: sampled on a logarithmic scale.
        choices: values (categorical).
        when: path -> values: sampled only where every named field has one of its values.
        acts: "training" or "inference"; the latter needs no new training.
    """

    path: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    acts: str = "training"

    def contains(self, value: Any) -> bool:
        """Whether the space can express ``value``."""
        if self.kind == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high and (self.kind == "float" or float(value).is_integer())

    def plain(self) -> dict[str, Any]:
        """JSON-able definition, for digests and reports."""
        body: dict[str, Any] = {"categorical": [_jsonable(c) for c in self.choices]}
        if self.kind != "categorical":
            body = {self.kind: [self.low, self.high], "log": self.log}
        if self.when:
            body["when"] = {path: [_jsonable(v) for v in values] for path, values in self.when}
        return body


def _jsonable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def parse_space(
    raw: Any, infos: Mapping[str, FieldInfo], *, where: str, conditions: Mapping[str, FieldInfo] | None = None
) -> tuple[Parameter, ...]:
    """Parameters of a ``space`` section.

    Args:
        raw: ``auto`` (every field that declares a range), or path -> ``auto`` or a mapping with one of ``float``,
            ``int`` (``[low, high]``), ``categorical`` (a list) or ``auto: true``, and optionally ``log`` and
            ``when``. A path may also name a group (``detector.post``) with ``auto``.
        infos: fields that may vary, by full path.
        where: name of the section in complaints.
        conditions: fields that ``when`` may name; default: the same.

    Raises:
        StudyError: one line for each thing wrong.
    """
    if raw == "auto":
        raw = {path: "auto" for path, info in infos.items() if info.searchable}
    if not isinstance(raw, Mapping):
        raise StudyError([f"{where}: expected 'auto' or a mapping of field paths, got {raw!r}."])
    lines: list[str] = []
    parameters: list[Parameter] = []
    for path, body in _expand_groups(raw, infos).items():
        if path not in infos:
            lines.append(f"{where}.{path}: no such field.{nearest(path, infos)}")
            continue
        try:
            parameters.append(_parameter(infos[path], path, body, conditions or infos, where=f"{where}.{path}"))
        except StudyError as error:
            lines.extend(error.lines)
    if lines:
        raise StudyError(lines)
    return tuple(sorted(parameters, key=lambda p: p.path))


def _expand_groups(raw: Mapping[str, Any], infos: Mapping[str, FieldInfo]) -> dict[str, Any]:
    expanded: dict[str, Any] = {}
    for path, body in raw.items():
        below = [p for p, i in infos.items() if p.startswith(f"{path}.") and i.searchable]
        if path not in infos and body == "auto" and below:
            expanded.update(dict.fromkeys(below, "auto"))
        else:
            expanded[path] = body
    return expanded


def _parameter(info: FieldInfo, path: str, body: Any, infos: Mapping[str, FieldInfo], *, where: str) -> Parameter:
    if body == "auto":
        body = {"auto": True}
    if not isinstance(body, Mapping):
        raise StudyError([f"{where}: expected 'auto' or a mapping with float, int or categorical, got {body!r}."])
    allowed = {"auto", "float", "int", "categorical", "log", "when"}
    unknown = [key for key in body if key not in allowed]
    if unknown:
        raise StudyError([f"{where}: unknown key '{key}'.{nearest(key, allowed)}" for key in unknown])
    kinds = [key for key in ("auto", "float", "int", "categorical") if key in body]
    if len(kinds) != 1:
        raise StudyError([f"{where}: give exactly one of auto, float, int, categorical; got {kinds or 'none'}."])
    when = _conditions(body.get("when", {}), path, infos, where=where)
    if kinds[0] == "auto":
        return _automatic(info, path, when, where=where)
    if kinds[0] == "categorical":
        return _categorical(info, path, body["categorical"], when, where=where)
    return _numeric(info, path, kinds[0], body, when, where=where)


def _automatic(info: FieldInfo, path: str, when: Any, *, where: str) -> Parameter:
    if info.choices is not None:
        return Parameter(path, "categorical", choices=info.choices, when=when, acts=info.acts)
    if info.search is None:
        raise StudyError([f"{where}: the field declares no range; give float, int or categorical."])
    integer = info.type is int
    low, high = info.search
    return Parameter(path, "int" if integer else "float", low, high, info.log, when=when, acts=info.acts)


def _categorical(info: FieldInfo, path: str, values: Any, when: Any, *, where: str) -> Parameter:
    if not isinstance(values, list) or len(values) < 2:
        raise StudyError([f"{where}.categorical: expected a list of two or more values, got {values!r}."])
    section = where.removesuffix(f".{info.path}")
    choices = tuple(check_value(info, value, where=section) for value in values)
    return Parameter(path, "categorical", choices=choices, when=when, acts=info.acts)


def _numeric(info: FieldInfo, path: str, kind: str, body: Mapping[str, Any], when: Any, *, where: str) -> Parameter:
    ends = body[kind]
    if not isinstance(ends, list) or len(ends) != 2:
        raise StudyError([f"{where}.{kind}: expected [low, high], got {ends!r}."])
    section = where.removesuffix(f".{info.path}")
    low, high = (check_value(info, end, where=section) for end in ends)
    if any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in (low, high)):
        raise StudyError([f"{where}: the field is not a number; use categorical."])
    log = body.get("log", False)
    if not isinstance(log, bool):
        raise StudyError([f"{where}.log: expected true or false, got {log!r}."])
    if not low < high:
        raise StudyError([f"{where}.{kind}: low {low} is not below high {high}."])
    if log and low <= 0:
        raise StudyError([f"{where}.{kind}: a logarithmic range starts above 0, got {low}."])
    if kind == "int" and not (float(low).is_integer() and float(high).is_integer()):
        raise StudyError([f"{where}.int: expected whole numbers, got {ends!r}; use float."])
    return Parameter(path, "int" if kind == "int" else "float", low, high, log, when=when, acts=info.acts)


def _conditions(
    raw: Any, path: str, infos: Mapping[str, FieldInfo], *, where: str
) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(raw, Mapping):
        raise StudyError([f"{where}.when: expected a mapping of field path to value(s), got {raw!r}."])
    conditions = []
    for other, values in raw.items():
        if other == path or other not in infos:
            raise StudyError([f"{where}.when: '{other}' is not another field.{nearest(other, infos)}"])
        section = other.removesuffix(f".{infos[other].path}")
        listed = values if isinstance(values, list) and infos[other].type not in (list, tuple) else [values]
        conditions.append((other, tuple(check_value(infos[other], v, where=section) for v in listed)))
    return tuple(conditions)
