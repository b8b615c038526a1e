"""Rows of an ablation: named ones, or a plan compiled from factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from tadtune.spec import components
from tadtune.spec.combination import combination_fields, misfit
from tadtune.spec.errors import StudyError, nearest
from tadtune.spec.sections import Section
from tadtune.spec.study import PLANS, Ablation, Parts, Row
from tadtune.spec.tables import find_table


@dataclass(frozen=True)
class Change:
    """What a row (or one level of a factor) changes against the study.

    Attributes:
        values: full field path -> value.
        tasks: replaces the study's tasks, None = keep.
        add_tasks: added to them.
    """

    values: Mapping[str, Any]
    tasks: tuple[str, ...] | None = None
    add_tasks: tuple[str, ...] = ()


def parse_ablation(
    top: Section, parts: Parts, values: Mapping[str, Any], paper: str | None, table: str | None
) -> Ablation | None:
    """Rows, baseline and seeds of an ablation study; complaints go to ``top.lines``."""
    seeds = _seeds(top)
    if top.has("rows") == top.has("factors"):
        top.complain("rows", "give either `rows` or `factors` with a `plan`")
        return None
    if top.has("rows"):
        changes, bound = _named_rows(top.section("rows"))
    else:
        changes, bound = _compiled_rows(top)
    if not changes and not top.lines:
        top.complain("rows", "an ablation needs at least one row")
    rows = tuple(_row(key, change, parts, values, bound.get(key), top) for key, change in changes.items())
    _check_paper_rows(top, rows, paper, table)
    default = next(iter(changes), "")
    baseline = str(top.take("baseline", str, default))
    if changes and baseline not in changes:
        top.complain("baseline", f"no row '{baseline}'.{nearest(baseline, changes)}")
    return Ablation(rows, baseline, seeds)


def _seeds(top: Section) -> tuple[int, ...]:
    seeds = top.take("seeds", list, [0, 1, 2])
    if not all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in seeds) or not seeds:
        top.complain("seeds", f"expected a list of whole numbers from 0, got {seeds!r}")
        return (0,)
    if len(set(seeds)) != len(seeds):
        top.complain("seeds", f"{seeds!r} names a seed twice")
    return tuple(seeds)


def _change(section: Section) -> Change:
    tasks = section.take("tasks", list, None)
    added = section.take("add_tasks", list, [])
    return Change(
        dict(section.section("set").items()),
        None if tasks is None else tuple(str(t) for t in tasks),
        tuple(str(t) for t in added),
    )


def _named_rows(section: Section) -> tuple[dict[str, Change], dict[str, str]]:
    changes: dict[str, Change] = {}
    bound: dict[str, str] = {}
    for key, _ in section.items():
        body = section.section(key)
        changes[key] = _change(body)
        paper_row = body.take("paper_row", str, None)
        if paper_row is not None:
            bound[key] = paper_row
        body.finish()
    return changes, bound


def _compiled_rows(top: Section) -> tuple[dict[str, Change], dict[str, str]]:
    factors: dict[str, dict[str, Change]] = {}
    section = top.section("factors")
    for name, _ in section.items():
        body = section.section(name)
        factors[name] = {level: _level(body, level) for level in ("off", "on")}
        body.finish()
    plan = top.choice("plan", PLANS)
    groups = dict(top.section("groups").items())
    paper_rows = {key: str(value) for key, value in top.section("paper_rows").items()}
    if plan is None or not factors:
        return {}, {}
    for group, members in groups.items():
        unknown = [m for m in members if m not in factors] if isinstance(members, list) else [members]
        for member in unknown:
            top.complain(f"groups.{group}", f"'{member}' is not a factor.{nearest(str(member), factors)}")
    if plan == "group_off" and not groups:
        top.complain("groups", "the plan group_off needs `groups`: name -> list of factors")
    if top.lines:
        return {}, {}
    changes = {key: _merge(factors, off) for key, off in _plan_rows(plan, list(factors), groups).items()}
    for key in paper_rows:
        if key not in changes:
            top.complain(f"paper_rows.{key}", f"the plan has no such row.{nearest(key, changes)}")
    return changes, paper_rows


def _level(factor: Section, level: str) -> Change:
    body = factor.section(level)
    change = _change(body)
    body.finish()
    return change


def _plan_rows(plan: str, factors: list[str], groups: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    """Row key -> the factors that are off in it."""
    everything = frozenset(factors)
    if plan == "full_grid":
        rows = {}
        for states in product((True, False), repeat=len(factors)):
            off = frozenset(f for f, on in zip(factors, states, strict=True) if not on)
            rows["+".join(f for f in factors if f not in off) or "none"] = off
        return rows
    if plan == "leave_one_out":
        return {"full": frozenset()} | {f"-{f}": frozenset([f]) for f in factors}
    if plan == "add_one_in":
        return {"none": everything} | {f"+{f}": everything - {f} for f in factors}
    if plan == "group_off":
        return {"full": frozenset()} | {f"-{name}": frozenset(members) for name, members in groups.items()}
    return {"full": frozenset()} | {f"-{a}-{b}": frozenset([a, b]) for a, b in combinations(factors, 2)}


def _merge(factors: Mapping[str, Mapping[str, Change]], off: frozenset[str]) -> Change:
    values: dict[str, Any] = {}
    tasks: tuple[str, ...] | None = None
    added: tuple[str, ...] = ()
    for name, levels in factors.items():
        change = levels["off" if name in off else "on"]
        values |= change.values
        tasks = tasks if change.tasks is None else change.tasks
        added += change.add_tasks
    return Change(values, tasks, added)


def _row(key: str, change: Change, parts: Parts, values: Mapping[str, Any], paper_row: str | None, top: Section) -> Row:
    base = parts.tasks if change.tasks is None else change.tasks
    tasks = tuple(sorted(set(base) | set(change.add_tasks)))
    own = Parts(parts.trainable, parts.detector, tasks, parts.dataset, parts.protocol)
    merged = {**values, **change.values}
    for task in tasks:
        if task not in components.names("task"):
            top.complain(f"rows.{key}.tasks", f"no task '{task}' is installed{nearest(task, components.names('task'))}")
            return Row(key, own, merged, paper_row)
    reason = misfit(own.detector, own.tasks, own.dataset)
    if reason is not None:
        top.complain(f"rows.{key}", reason)
    elif change.tasks is not None:  # settings of a task the row leaves out go with it
        known = combination_fields(own)
        merged = {p: v for p, v in merged.items() if p in known or p in change.values or not p.startswith("tasks.")}
    return Row(key, own, merged, paper_row)


def _check_paper_rows(top: Section, rows: tuple[Row, ...], paper: str | None, table: str | None) -> None:
    bound = [row for row in rows if row.paper_row is not None]
    if bound and (paper is None or table is None):
        top.complain("table", "rows are bound to a paper's rows; name `paper` and `table`")
        return
    if not bound or paper is None or table is None:
        return
    try:
        known = find_table(paper, table).rows
    except StudyError:
        return  # the wrong table is complained about where it is named
    for row in bound:
        if row.paper_row not in known:
            hint = nearest(str(row.paper_row), known)
            top.complain(f"rows.{row.key}.paper_row", f"{paper} {table} has no row '{row.paper_row}'.{hint}")
