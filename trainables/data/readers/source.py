"""A file or folder of annotations, parsed once however many readers look at it."""

from __future__ import annotations

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any


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
    def text(self) -> str | None:
        """Contents of a text file, unpacked; None for a folder or another file."""
        if not self.path.is_file():
            return None
        raw = self.path.read_bytes()
        try:
            return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
        except (UnicodeDecodeError, OSError, EOFError):
            return None

    @cached_property
    def json(self) -> Any:
        """Parsed contents of a JSON file; None for anything that does not look like one.

        Raises:
            ValueError: it looks like JSON and is not, or an object has a key twice.
        """
        if self.text is None or self.text.lstrip()[:1] not in ("{", "["):
            return None
        try:
            return json.loads(self.text, object_pairs_hook=self._unique)
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.path}: not JSON ({error})") from error

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"{self.path}: '{twice}' is there twice in one object; which one holds cannot be told")
        return result
