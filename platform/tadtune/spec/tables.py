"""Numeric tables of the papers, as data files beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from tadtune.spec.errors import StudyError, nearest


@dataclass(frozen=True)
class PaperRow:
    """One row of a paper's table.

    Attributes:
        key: identifier within the table.
        label: as printed.
        own: a configuration of the paper itself (not quoted literature).
        values: metric name as this project writes it -> value in percent, missing ones left out.
        note: how sure the reading is ("forced", "inferred", ...), or "".
    """

    key: str
    label: str
    own: bool
    values: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True)
class PaperTable:
    """One numeric table of a paper.

    Attributes:
        paper: key of the paper, for instance ``kt_mgfn``.
        key: identifier within the paper, for instance ``table_5``.
        title: as printed, for instance "Table V: ...".
        datasets: data sets it was measured on.
        rows: by key, in printed order.
    """

    paper: str
    key: str
    title: str
    datasets: tuple[str, ...]
    rows: Mapping[str, PaperRow]


def papers() -> list[str]:
    """Keys of the papers with tables, sorted."""
    return sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml"))


def _folder() -> Any:
    return files("tadtune.spec") / "paper_tables"


@cache
def paper_title(paper: str) -> str:
    """Title of a paper."""
    return str(_read(paper)["paper"]["title"])


@cache
def _read(paper: str) -> dict[str, Any]:
    if paper not in papers():
        raise StudyError([f"paper: no tables of a paper '{paper}'.{nearest(paper, papers())}"])
    content: dict[str, Any] = yaml.safe_load((_folder() / f"{paper}.yaml").read_text(encoding="utf-8"))
    return content


@cache
def paper_tables(paper: str) -> dict[str, PaperTable]:
    """Every table of a paper by key.

    Raises:
        StudyError: there is no such paper.
    """
    return {str(raw["id"]): _table(paper, raw) for raw in _read(paper)["tables"]}


def find_table(paper: str, key: str) -> PaperTable:
    """One table.

    Raises:
        StudyError: there is no such paper or table; the nearest key is named.
    """
    tables = paper_tables(paper)
    if key not in tables:
        raise StudyError([f"table: {paper} has no table '{key}'.{nearest(key, tables)}"])
    return tables[key]


def _table(paper: str, raw: Mapping[str, Any]) -> PaperTable:
    names = {_column_key(c): _metric_of(c) for c in raw.get("columns") or []}
    rows = {}
    for row in raw.get("rows") or []:
        values = {names.get(k, k): float(v) for k, v in (row.get("values") or {}).items() if v is not None}
        own = bool(row["own"]) if "own" in row else row.get("row_type") in ("own", "baseline")
        note = str(row.get("ticks_source") or "")
        rows[str(row["key"])] = PaperRow(str(row["key"]), str(row.get("label", row["key"])), own, values, note)
    number = raw.get("paper_id") or f"Table {raw.get('number', raw['id'])}"
    title = f"{number}: {raw.get('caption', '')}".rstrip(": ")
    listed = raw.get("dataset") or []
    datasets = tuple(listed) if isinstance(listed, list) else (str(listed),)
    return PaperTable(paper, str(raw["id"]), title, datasets, rows)


def _column_key(column: Any) -> str:
    return str(column["key"]) if isinstance(column, Mapping) else str(column)


def _metric_of(column: Any) -> str:
    """A column that is not called as its metric names it."""
    if isinstance(column, Mapping) and "metric_name" in column:
        return str(column["metric_name"])
    return metric_name(_without_dataset(column))


def _without_dataset(column: Any) -> str:
    """Key of a column; a table of several data sets begins it with one of them."""
    prefix = f"{column['dataset']}." if isinstance(column, Mapping) and "dataset" in column else ""
    return _column_key(column).removeprefix(prefix)


def metric_name(column: str) -> str:
    """The project's metric name of a table column: "0.5" -> ``map_tiou_0.50``, "avg..." -> ``avg_map``."""
    try:
        return f"map_tiou_{float(column):.2f}"
    except ValueError:
        return "avg_map" if column.startswith("avg") else column
