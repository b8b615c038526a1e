"""A file or folder of annotations, read and parsed once however many readers look at it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: file and line (the last one, where a quoted cell has several).
        cells: column -> text.
    """

    where: str
    cells: dict[str, str]

    def number(self, column: str) -> float:
        """The number in a column.

        Raises:
            ValueError: it is none.
        """
        return parse_number(self.cells[column], f"{self.where}, column '{column}'")


class Source:
    """What a reader gets.

    Args:
        path: a file (also gzipped) or a folder.

    Raises:
        ValueError: there is nothing, or an empty file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder of annotations")
        if path.is_file() and path.stat().st_size == 0:
            raise ValueError(f"{path}: the file is empty")

    @cached_property
    def content(self) -> bytes:
        """Contents of a file, unpacked; nothing for a folder.

        Raises:
            ValueError: a damaged gzip file.
        """
        if not self.path.is_file():
            return b""
        raw = self.path.read_bytes()
        try:
            return gzip.decompress(raw) if raw.startswith(_GZIP) else raw
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{self.path}: a damaged gzip file: {error}") from error

    @cached_property
    def text(self) -> str:
        """Contents of a text file; nothing for anything else."""
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return ""

    @cached_property
    def json(self) -> Any:
        """Parsed contents of a JSON file; None for anything that does not look like one.

        Raises:
            ValueError: it looks like JSON and is not, or an object has a key twice.
        """
        if self.text.lstrip()[:1] not in ("{", "["):
            return None
        try:
            return json.loads(self.text, object_pairs_hook=self._unique)
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.path}: not JSON ({error})") from error

    @cached_property
    def lines(self) -> list[tuple[str, str]]:
        """(file and line, text) of every line that is not blank."""
        numbered = enumerate(self.text.splitlines(), start=1)
        return [(f"{self.path}: line {number}", line.strip()) for number, line in numbered if line.strip()]

    @cached_property
    def header(self) -> tuple[str, ...]:
        """Columns of a table with commas; nothing for anything else."""
        first, comma, _ = self.text.partition("\n")[0].partition(",")
        if not comma or first.lstrip()[:1] in ("{", "["):
            return ()
        return tuple(next(csv.reader([self.text.partition("\n")[0]])))

    @cached_property
    def rows(self) -> list[Row]:
        """Rows of a table.

        Raises:
            ValueError: there is none, one has another number of cells than the header, or a column is there twice.
        """
        if len(set(self.header)) < len(self.header):
            twice = next(column for column in self.header if self.header.count(column) > 1)
            raise ValueError(f"{self.path}: line 1: column '{twice}' is there twice")
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        rows = []
        try:
            next(reader)
            for cells in reader:
                where = f"{self.path}: line {reader.line_num}"
                if len(cells) != len(self.header):
                    raise ValueError(f"{where} has {len(cells)} cells, the header {len(self.header)}")
                rows.append(Row(where, dict(zip(self.header, cells, strict=True))))
        except csv.Error as error:
            raise ValueError(f"{self.path}: line {reader.line_num}: {error}") from error
        if not rows:
            raise ValueError(f"{self.path}: a header without a row")
        return rows

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"{self.path}: '{twice}' is there twice in one object; which one holds cannot be told")
        return result


def parse_number(text: str, where: str) -> float:
    """A number written as text is one.

    Raises:
        ValueError: it is not.
    """
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{where}: {text!r} is not a number") from error
