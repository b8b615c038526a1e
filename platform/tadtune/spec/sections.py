"""Reading the sections of a study file: every key is taken once, what is left over is an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tadtune.spec.errors import StudyError, nearest

_MISSING = object()
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Section:
    """One mapping of a study file. Complaints are collected in ``lines``, shared by all sections of the file.

    Args:
        raw: what the YAML holds here.
        where: dotted place in the file, "" for the top.
        lines: the shared list of complaints.
    """

    def __init__(self, raw: Any, where: str, lines: list[str]) -> None:
        self.where = where
        self.lines = lines
        self._known: set[str] = set()
        self._raw: dict[str, Any] = {}
        if isinstance(raw, Mapping):
            self._raw = {str(k): v for k, v in raw.items()}
        elif raw is not None:
            self.complain("", f"expected a mapping, got {raw!r}")

    def name(self, key: str) -> str:
        """Dotted place of a key in the file."""
        return ".".join(part for part in (self.where, key) if part) or "study file"

    def complain(self, key: str, text: str) -> None:
        """Note one thing that is wrong."""
        self.lines.append(f"{self.name(key)}: {text}" + ("" if text.endswith((".", "?")) else "."))

    def take(self, key: str, kinds: type | tuple[type, ...], default: Any = _MISSING) -> Any:
        """The value of a key if it has one of the types; else a complaint and the default (or None)."""
        self._known.add(key)
        fallback = None if default is _MISSING else default
        if key not in self._raw or self._raw[key] is None:
            if default is _MISSING:
                self.complain(key, "is required")
            return fallback
        value = self._raw[key]
        allowed = kinds if isinstance(kinds, tuple) else (kinds,)
        is_bool_for_number = isinstance(value, bool) and bool not in allowed
        if not isinstance(value, allowed) or is_bool_for_number:
            wanted = " or ".join(k.__name__ for k in allowed)
            self.complain(key, f"expected {wanted}, got {value!r}")
            return fallback
        return value

    def choice(self, key: str, options: Iterable[str], default: Any = _MISSING) -> Any:
        """A string out of ``options``."""
        value = self.take(key, str, default)
        listed = list(options)
        if isinstance(value, str) and value not in listed:
            self.complain(key, f"'{value}' is not one of the choices.{nearest(value, listed)}")
            return None if default is _MISSING else default
        return value

    def positive(self, key: str, kinds: type | tuple[type, ...], default: Any, *, least: float = 1) -> Any:
        """A number of at least ``least``."""
        value = self.take(key, kinds, default)
        if isinstance(value, (int, float)) and value < least:
            self.complain(key, f"{value} is below {least}")
            return default
        return value

    def seconds(self, key: str) -> float | None:
        """A duration such as ``90s``, ``30m``, ``4h``; a bare number is seconds."""
        value = self.take(key, (int, float, str), None)
        if value is None or isinstance(value, (int, float)):
            return None if value is None else float(value)
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", value)
        if match is None:
            self.complain(key, f"expected a duration such as 90s, 30m, 4h or 2d, got {value!r}")
            return None
        return float(match[1]) * _UNITS_S[match[2]]

    def section(self, key: str) -> Section:
        """The mapping below a key (empty if absent)."""
        return Section(self.take(key, object, None), self.name(key), self.lines)

    def named(self, key: str, default: str) -> tuple[str, Section]:
        """A component with options: ``key: tpe`` or ``key: {name: tpe, ...}`` -> its name and its options."""
        raw = self.take(key, (str, dict), default)
        if isinstance(raw, str) or raw is None:
            return raw or default, Section({}, self.name(key), self.lines)
        options = {k: v for k, v in raw.items() if k != "name"}
        return str(raw.get("name", default)), Section(options, self.name(key), self.lines)

    def items(self) -> list[tuple[str, Any]]:
        """All pairs; every key counts as known."""
        self._known.update(self._raw)
        return list(self._raw.items())

    def has(self, key: str) -> bool:
        """Whether the file gives the key."""
        return key in self._raw

    def finish(self) -> None:
        """Complain about keys nobody asked for."""
        for key in self._raw:
            if key not in self._known:
                self.complain(key, f"unknown key.{nearest(key, self._known)}")

    def raise_if_any(self) -> None:
        """Raise what has been collected.

        Raises:
            StudyError: at least one complaint.
        """
        if self.lines:
            raise StudyError(self.lines)
