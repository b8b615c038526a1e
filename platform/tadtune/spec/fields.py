"""Configuration dataclasses as a flat list of fields: read, validate, build, write back.

A configuration is any frozen dataclass, nested as deep as it likes; what its fields' metadata say (``doc``,
``symbol``, ``search``, ``choices``, ``log``, ``bounds``, ``source``, ``acts``) is the only place where ranges live.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tadtune.spec.errors import StudyError, nearest


@dataclass(frozen=True)
class FieldInfo:
    """One leaf field of a configuration dataclass.

    Attributes:
        path: dotted path below the configuration, for instance ``ccm.xi_era``.
        type: the annotated type.
        default: its default.
        doc: one line, with the unit.
        symbol: the paper's symbol.
        search: inclusive range of an automatic search, or None.
        choices: values of an automatic search, or None.
        log: ``search`` is sampled on a logarithmic scale.
        bounds: inclusive bounds of validity, None = open.
        source: paper and place, repository, or "ours".
        acts: "training" or "inference".
    """

    path: str
    type: Any
    default: Any
    doc: str = ""
    symbol: str | None = None
    search: tuple[float, float] | None = None
    choices: tuple[Any, ...] | None = None
    log: bool = False
    bounds: tuple[float | None, float | None] | None = None
    source: str = "ours"
    acts: str = "training"

    @property
    def searchable(self) -> bool:
        """Whether the field declares a range or choices."""
        return self.search is not None or self.choices is not None


_METADATA = ("doc", "symbol", "search", "choices", "log", "bounds", "source", "acts")


def field_infos(config: Any) -> dict[str, FieldInfo]:
    """Leaf fields of a configuration class (or instance, whose values then are the defaults), by path."""
    return {info.path: info for info in _walk(config, "")}


def _walk(config: Any, prefix: str) -> list[FieldInfo]:
    cls = config if isinstance(config, type) else type(config)
    hints = _hints(cls)
    infos: list[FieldInfo] = []
    for field in dataclasses.fields(cls):
        path = f"{prefix}{field.name}"
        default = _default(field) if isinstance(config, type) else getattr(config, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            nested = hints[field.name] if default is dataclasses.MISSING else default
            infos.extend(_walk(nested, f"{path}."))
        else:
            known = {key: field.metadata[key] for key in _METADATA if key in field.metadata}
            infos.append(FieldInfo(path=path, type=hints[field.name], default=default, **known))
    return infos


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Types of a class's fields; reading them compiles every annotation, and a plan of thousands asks every time."""
    return get_type_hints(cls)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING


def build_config(cls: type, values: Mapping[str, Any], *, where: str) -> Any:
    """Build a configuration from dotted paths.

    Args:
        cls: the configuration dataclass.
        values: path below the configuration -> value; fields not named keep their default.
        where: prefix of the paths in complaints, for instance ``detector``.

    Raises:
        StudyError: unknown path, wrong type, value out of bounds, or a rule between fields; one line each.
    """
    infos = field_infos(cls)
    lines: list[str] = []
    clean: dict[str, Any] = {}
    for path, value in values.items():
        if path not in infos:
            known = [f"{where}.{p}" for p in infos]
            lines.append(f"{where}.{path}: no such field.{nearest(f'{where}.{path}', known)}")
            continue
        try:
            clean[path] = check_value(infos[path], value, where=where)
        except StudyError as error:
            lines.extend(error.lines)
    if lines:
        raise StudyError(lines)
    try:
        return _construct(cls, clean, "")
    except (ValueError, TypeError) as error:
        raise StudyError([f"{where}: {error}"]) from error


def _construct(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = _hints(cls)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            default = _default(field)
            below = {p: v for p, v in values.items() if p.startswith(f"{path}.")}
            if default is dataclasses.MISSING:
                arguments[field.name] = _construct(hints[field.name], below, f"{path}.")
            elif below:
                base = {f"{path}.{p}": i.default for p, i in field_infos(default).items()}
                arguments[field.name] = _construct(type(default), {**base, **below}, f"{path}.")
        elif path in values:
            arguments[field.name] = values[path]
    return cls(**arguments)


def check_value(info: FieldInfo, value: Any, *, where: str) -> Any:
    """The value in the field's own type.

    Raises:
        StudyError: wrong type or out of bounds.
    """
    name = f"{where}.{info.path}"
    fits, converted = _coerce(info.type, value)
    if not fits:
        raise StudyError([f"{name}: expected {_type_name(info.type)}, got {value!r} ({type(value).__name__})."])
    if info.bounds is not None and isinstance(converted, (int, float)) and not isinstance(converted, bool):
        low, high = info.bounds
        if (low is not None and converted < low) or (high is not None and converted > high) or converted != converted:
            rule = f"{'-inf' if low is None else low} .. {'inf' if high is None else high}"
            raise StudyError([f"{name}: {converted} is outside its bounds {rule}; choose a value inside."])
    return converted


def _coerce(kind: Any, value: Any) -> tuple[bool, Any]:
    """(whether ``value`` fits ``kind``, the value in that type)."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return True, value
    if origin in (Union, types.UnionType):
        for option in sorted(args, key=lambda a: a is not type(None)):
            fits, converted = _coerce(option, value)
            if fits:
                return True, converted
        return False, value
    if kind is type(None):
        return value is None, None
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in args), value
    if origin is tuple:
        return _coerce_tuple(args, value)
    if kind is bool:
        return isinstance(value, bool), value
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if kind is float:
        return _coerce_float(value)
    return isinstance(value, kind), value


def _coerce_float(value: Any) -> tuple[bool, Any]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return True, float(value)
    if isinstance(value, str):  # YAML 1.1 reads 1e-4, without a dot, as a string
        try:
            return True, float(value)
        except ValueError:
            return False, value
    return False, value


def _coerce_tuple(args: tuple[Any, ...], value: Any) -> tuple[bool, Any]:
    if not isinstance(value, (list, tuple)):
        return False, value
    kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(kinds) != len(value):
        return False, value
    items = [_coerce(kind, item) for kind, item in zip(kinds, value, strict=True)]
    return all(fits for fits, _ in items), tuple(item for _, item in items)


def _type_name(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(repr(a) for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(a) for a in args)
    if origin is tuple:
        return "a list of " + _type_name(args[0]) if args else "a list"
    return "null" if kind is type(None) else getattr(kind, "__name__", str(kind))


def to_plain(config: Any) -> dict[str, Any]:
    """The configuration as flat path -> JSON-able value, sorted by path."""
    infos = field_infos(config)
    return {path: _plain(infos[path].default) for path in sorted(infos)}


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
