"""A store on pyarrow's local file system that can be sent away, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyarrow.fs import LocalFileSystem

from tadtune.track.object_store.objects import Store


class Switch:
    """Says whether the store answers; counts what is asked of it.

    Attributes:
        away: every request fails.
        left: requests that still succeed before it goes away, None = no limit.
        asked: names of the methods called.
        before: called with the number of each request and the method's name.
    """

    def __init__(self) -> None:
        self.away = False
        self.left: int | None = None
        self.asked: list[str] = []
        self.before: Callable[[int, str], object] = lambda number, name: None

    def ask(self, name: str) -> None:
        self.asked.append(name)
        self.before(len(self.asked), name)
        if self.left is not None:
            self.left -= 1
            self.away = self.away or self.left < 0
        if self.away:
            raise OSError("Could not connect to server")


class Switched:
    """A file system behind a switch."""

    def __init__(self, switch: Switch) -> None:
        self._fs, self._switch = LocalFileSystem(), switch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._fs, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self._switch.ask(name)
            return found(*args, **named)

        return call


def make_store(root: Path, switch: Switch | None = None) -> Store:
    """A store in a folder."""
    root.mkdir(parents=True, exist_ok=True)
    return Store(Switched(switch or Switch()), str(root), f"test://{root.name}")


def contents(root: Path) -> dict[str, bytes]:
    """Every object of a store, by name."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
