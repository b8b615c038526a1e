"""What all figures share, as plain Plotly specifications; colours and fonts of the page are set by its script."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Mid-tones with a contrast of 3 and more to the light and to the dark page; blue and orange stay apart without colour
# vision, and every figure tells its series apart by shape or place as well.
BLUE, ORANGE, GREY = "#3a82c8", "#d4731a", "#7d8794"
MAX_LABEL = 18
#: Characters of each of two lines.
MAX_LINE = 20


@dataclass(frozen=True)
class Figure:
    """One figure of the page.

    Attributes:
        id: of the element.
        title: heading.
        label: what it shows, for those who cannot see it.
        caption: what a reader needs to know to read it.
        legend: glyph, colour and name of each series; on the page, where it wraps, not in the drawing.
        height: in CSS pixels.
        spec: ``data`` and ``layout`` for Plotly.
    """

    id: str
    title: str
    label: str
    caption: str
    legend: tuple[tuple[str, str, str], ...]
    height: int
    spec: Mapping[str, Any]


def spec(data: Sequence[Mapping[str, Any]], **layout: Any) -> dict[str, Any]:
    """A specification with the layout every figure starts from."""
    axis = {"fixedrange": True, "automargin": True, "zeroline": False}
    base = {
        "margin": {"l": 8, "r": 16, "t": 8, "b": 40},
        "dragmode": False,
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": {**axis, **layout.pop("xaxis", {})},
        "yaxis": {**axis, **layout.pop("yaxis", {})},
    }
    return {"data": list(data), "layout": {**base, **layout}}


def escaped(value: object) -> str:
    """Text from outside: Plotly reads some HTML in its labels."""
    return html.escape(str(value), quote=False)


def short(value: object) -> str:
    """An axis label that leaves room for the figure on a phone."""
    text = str(value)
    return escaped(text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…")


def wrapped(value: object) -> str:
    """A label on up to two lines, broken at spaces and slashes; a longer one lacks its middle.

    Names of many classes begin alike ("Someone is going from ...") or end alike ("... from somewhere").
    """
    text = str(value)
    if len(text) <= MAX_LINE:
        return escaped(text)
    end = max((i for i, sign in enumerate(text[:MAX_LINE], start=1) if sign in " /"), default=MAX_LINE)
    first, rest = text[:end], text[end:]
    second = rest if len(rest) <= MAX_LINE else f"…{rest[1 - MAX_LINE :]}"
    return f"{escaped(first.rstrip())}<br>{escaped(second)}"


def lanes(labels: Sequence[str], written: Callable[[str], str] = short) -> dict[str, Any]:
    """A vertical axis with one lane per label, the first on top."""
    return {
        "tickvals": list(range(len(labels))),
        "ticktext": [written(label) for label in labels],
        "range": [len(labels) - 0.4, -0.6],
        "showgrid": False,
        "ticks": "",
        "ticklabelstandoff": 6,
    }


def vertical_line(x: float) -> dict[str, Any]:
    """A thin line over the whole height."""
    line = {"color": GREY, "width": 2, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line, "layer": "below"}
