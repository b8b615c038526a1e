"""What ``tadtune data inspect`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from trainables.data.annotations import Fault
from trainables.data.inspection import LENGTH_EDGES_S, PartSummary


def print_summaries(console: Console, summaries: Sequence[PartSummary], class_names: Sequence[str]) -> None:
    """Counts, lengths and classes, one column a part.

    Args:
        console: to print on.
        summaries: of all parts.
        class_names: K names.
    """
    table = Table("", *(s.part for s in summaries))
    rows = {
        "videos": [str(s.videos) for s in summaries],
        "videos without segments": [str(s.without_segments) for s in summaries],
        "videos of several classes": [str(s.several_classes) for s in summaries],
        "videos of known duration": [str(s.known_durations) for s in summaries],
        "hours": [f"{s.hours:.2f}" for s in summaries],
        "shortest, median, longest video, s": [_three(s.durations_s) for s in summaries],
        "segments": [str(s.segments) for s in summaries],
        "ambiguous segments": [str(s.ambiguous) for s in summaries],
        "shortest, median, longest segment, s": [_three(s.lengths_s) for s in summaries],
        "share of time with action": ["" if s.action_share is None else f"{s.action_share:.0%}" for s in summaries],
        "overlapping segments": [str(s.overlapping) for s in summaries],
        "segments with another class's times": [str(s.same_times) for s in summaries],
        "segments beyond the end": [str(s.beyond_end) for s in summaries],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    table.add_section()
    for i, (low, high) in enumerate(pairwise(LENGTH_EDGES_S)):
        table.add_row(f"length {low:g} to {high:g} s", *(str(s.lengths[i]) for s in summaries))
    table.add_section()
    for name in class_names:
        cells = [f"{s.per_class[name]} in {s.videos_per_class[name]} videos" for s in summaries]
        table.add_row(f"class {name}", *cells)
    console.print(table)


def print_faults(console: Console, faults: Sequence[Fault]) -> None:
    """Every kind of fault with its number, what was done, and the first one."""
    console.print(f"faults: {sum(fault.count for fault in faults)}")
    for fault in faults:
        console.print(f"{fault.count} x {fault.rule}: {fault.action}; first: {fault.first}", soft_wrap=True)


def _three(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
