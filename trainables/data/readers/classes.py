"""Lists of class names, as data sets publish them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainables.data.readers.source import Source
from trainables.data.schema import check_class_names

_NUMBERED = re.compile(r"c?(?P<number>\d+)\s+(?P<name>\S.*)")
#: ``thumos_mapping.txt`` of MultiTHUMOS ends some lines with the class's number in THUMOS'14.
_FOREIGN_NUMBER = re.compile(r"\s+\d+$")


@dataclass(frozen=True)
class ClassList:
    """Names of the classes of a data set.

    Attributes:
        source: what it was read from, for messages.
        names: K names.
        numbers: K numbers by which files mean them; 0 to K - 1 where the list has none.
    """

    source: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]

    @cached_property
    def by_number(self) -> Mapping[int, str]:
        """Number -> name."""
        return dict(zip(self.numbers, self.names, strict=True))

    def name_of(self, number: int, where: str) -> str:
        """Name of a class.

        Raises:
            ValueError: the list has no such number; ``where`` says who asked.
        """
        if number not in self.by_number:
            low, high = min(self.numbers), max(self.numbers)
            raise ValueError(f"{where}: class {number} is not in {self.source}, which has {low} to {high}")
        return self.by_number[number]


def read_class_list(path: Path) -> ClassList:
    """Read a list of classes; which of the known forms it has is seen from its contents.

    One name a line (mmaction2's label maps), a number and a name (THUMOS'14's and UCF-101's lists; MultiTHUMOS's with
    a third column; Charades's, ``c000 Holding some clothes``), a column called ``action`` (BSN), or a JSON list (TSP).

    Raises:
        ValueError: none of these, or a name or number twice.
    """
    source = Source(path)
    names, numbers = _from_json(source) if source.json is not None else _from_lines(source)
    try:
        check_class_names(names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if len(set(numbers)) < len(numbers):
        twice = next(n for n in numbers if list(numbers).count(n) > 1)
        raise ValueError(f"{path}: number {twice} is that of two classes")
    return ClassList(str(path), tuple(names), tuple(numbers))


def _from_json(source: Source) -> tuple[Sequence[str], Sequence[int]]:
    names = source.json
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{source.path}: a list of classes in JSON is a list of names")
    return names, range(len(names))


def _from_lines(source: Source) -> tuple[Sequence[str], Sequence[int]]:
    lines = source.lines
    matches = [_NUMBERED.fullmatch(line) for _, line in lines]
    if not any(matches):
        names = [line for _, line in lines]
        if names[:1] == ["action"]:
            del names[0]
        return names, range(len(names))
    names, numbers = [], []
    for (where, line), match in zip(lines, matches, strict=True):
        if match is None:
            raise ValueError(f"{where}: {line!r} has no number, other lines have one")
        names.append(_FOREIGN_NUMBER.sub("", match["name"]))
        numbers.append(int(match["number"]))
    return names, numbers
