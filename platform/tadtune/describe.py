"""What is installed and what its fields mean, for people."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from rich.console import Console
from rich.table import Table

from tadtune.spec import components
from tadtune.spec.combination import answer_of, misfit, scored_by, with_companions
from tadtune.spec.errors import StudyError, nearest
from tadtune.spec.fields import FieldInfo, field_infos
from tadtune.spec.studies import built_in_studies
from tadtune.spec.tables import paper_title, papers

_KINDS = ("detector", "task", "dataset", "protocol", "metric")
_LISTS = {f"{kind}s": kind for kind in (*_KINDS, "trainable")}


def print_fields(name: str, console: Console) -> None:
    """Every field of the component of that name.

    Raises:
        StudyError: nothing of that name is installed.
    """
    found = [(kind, components.load(kind, name)) for kind in _KINDS if name in components.names(kind)]
    if not found:
        known = [n for kind in _KINDS for n in components.names(kind)]
        raise StudyError([f"{name}: no detector, task, data set or protocol of that name.{nearest(name, known)}"])
    for kind, cls in found:
        table = Table(title=f"{kind} {name}", title_justify="left", show_lines=False)
        for heading in ("field", "symbol", "default", "search", "acts at", "meaning", "source"):
            table.add_column(heading, overflow="fold")
        for path, info in field_infos(cls).items():
            search = search_text(info)
            table.add_row(path, info.symbol or "", _value(info.default), search, info.acts, info.doc, info.source)
        console.print(table)
        if getattr(cls, "presets", {}):
            console.print(_presets(name, cls.presets))


def _presets(name: str, presets: Mapping[str, Mapping[str, Any]]) -> Table:
    """Fields that presets set, side by side."""
    table = Table(title=f"presets of {name}", title_justify="left")
    for heading in ("field", *presets):
        table.add_column(heading, overflow="fold")
    for path in dict.fromkeys(path for values in presets.values() for path in values):
        table.add_row(path, *(_value(values[path]) if path in values else "" for values in presets.values()))
    return table


def search_text(info: FieldInfo) -> str:
    """A field's search range in words."""
    if info.choices is not None:
        return ", ".join(_value(choice) for choice in info.choices)
    if info.search is None:
        return ""
    return f"{info.search[0]:g} .. {info.search[1]:g}{' log' if info.log else ''}"


def _value(value: Any) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value)


def print_list(what: str, console: Console) -> None:
    """One of the lists.

    Raises:
        StudyError: there is no such list.
    """
    if what in _LISTS:
        for name in components.names(_LISTS[what]):
            console.print(name)
    elif what == "studies":
        for name in built_in_studies():
            console.print(name)
    elif what == "papers":
        for key in papers():
            console.print(f"{key}: {paper_title(key)}", soft_wrap=True)
    elif what == "combinations":
        console.print(_combinations())
        console.print(_protocols())
    else:
        known = [*_LISTS, "studies", "papers", "combinations"]
        raise StudyError([f"list: no list '{what}'.{nearest(what, known)}"])


def _combinations() -> Table:
    """Every detector with every task (and none) on every data set: runs, or the reason why not.

    A task that builds upon others is shown together with them.
    """
    table = Table(title="combinations", title_justify="left", show_lines=True)
    datasets = components.names("dataset")
    for heading in ("detector", "task", *datasets):
        table.add_column(heading, overflow="fold")
    alone: list[tuple[str, ...]] = [(), *(with_companions(task) for task in components.names("task"))]
    for detector, tasks in product(components.names("detector"), dict.fromkeys(alone)):
        cells = [misfit(detector, tasks, dataset) or "runs" for dataset in datasets]
        table.add_row(detector, " + ".join(tasks) or "(none)", *cells)
    return table


def _protocols() -> Table:
    """Every detector with the protocols that score it, and why the others do not."""
    table = Table(title="protocols", title_justify="left", show_lines=True)
    for heading in ("detector", "answers with", "scored by", "not by"):
        table.add_column(heading, overflow="fold")
    by_kind: dict[str, list[str]] = {}
    for protocol in components.names("protocol"):
        by_kind.setdefault(scored_by(protocol), []).append(protocol)
    for detector in components.names("detector"):
        said = answer_of(detector)
        others = [f"{', '.join(names)}: takes {kind}" for kind, names in by_kind.items() if kind != said]
        table.add_row(detector, said, ", ".join(by_kind.get(said, ())), "\n".join(others))
    return table
