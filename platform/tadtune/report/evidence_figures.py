"""Figures of what lies behind the means: AP per class, timelines of videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tadtune.report.data import ClassScores, Evidence, Timeline
from tadtune.report.figures import BLUE, GREY, ORANGE, Figure, escaped, lanes, spec, wrapped
from tadtune.report.wording import count, gap, metric_title, score

MAX_CLASSES = 30
MAX_LANES = 10
#: CSS pixels that a label of two lines needs.
TWO_LINES = 40
_COLOURS = (BLUE, ORANGE)


def class_figure(evidence: Evidence) -> Figure | None:
    """AP per class of the configurations shown; many classes are cut to those that differ most."""
    series = evidence.classes
    if not series:
        return None
    names = _common(series)
    spread = {name: max(s.values[name] for s in series) - min(s.values[name] for s in series) for name in names}
    kept = sorted(names, key=lambda name: -spread[name])[:MAX_CLASSES]
    kept.sort(key=lambda name: -series[-1].values[name])
    if not kept:
        return None
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": escaped(one.label),
            "x": [100 * one.values[name] for name in kept],
            "y": list(range(len(kept))),
            "marker": {"color": colour},
            "text": [f"{escaped(name)}, {escaped(one.label)}: {score(one.values[name])}" for name in kept],
            "textposition": "none",
            "hoverinfo": "text",
        }
        for one, colour in zip(series, _COLOURS, strict=False)
    ]
    title = metric_title(evidence.metric).replace("mAP", "AP")
    cut = f" The {len(kept)} of {len(names)} classes that differ most." if len(kept) < len(names) else ""
    axis = lanes(kept, wrapped)
    lane = max(12 + 14 * len(series), TWO_LINES if any("<br>" in text for text in axis["ticktext"]) else 0)
    summary = ", ".join(f"{name} {score(series[-1].values[name])}" for name in kept[:10])
    return Figure(
        "classes",
        f"{title[0].upper()}{title[1:]} by class",
        f"Bar chart of {title} per class on test; highest for {series[-1].label}: {summary}.",
        f"{title} on test in percent, mean over finished seeds, study's own inference values.{cut}",
        tuple(("■", colour, one.label) for one, colour in zip(series, _COLOURS, strict=False)),
        56 + lane * len(kept),
        spec(
            traces,
            xaxis={"title": {"text": f"{title}, %"}, "rangemode": "tozero"},
            yaxis=axis,
            barmode="group",
            bargap=0.3,
        ),
    )


def class_table(evidence: Evidence) -> tuple[tuple[str, ...], list[tuple[str, ...]]] | None:
    """Headings and rows of every class, by name; None where the figure shows them all."""
    series = evidence.classes
    names = _common(series) if series else []
    if len(names) <= MAX_CLASSES:
        return None
    paired = len(series) == 2
    headings = ("class", *(one.label for one in series), *(("difference",) if paired else ()))
    rows = []
    for name in names:
        values = [one.values[name] for one in series]
        rows.append((name, *map(score, values), *((gap(values[1] - values[0]),) if paired else ())))
    return headings, rows


def _common(series: Sequence[ClassScores]) -> list[str]:
    """Classes that all have a score of."""
    return [name for name in series[0].values if all(name in other.values for other in series)]


def timeline_legend(evidence: Evidence) -> list[tuple[str, str, str]]:
    """Glyph, colour and name of the series of every timeline."""
    labels = list(evidence.timelines[0].predicted) if evidence.timelines else []
    return [("■", GREY, "true"), *(("■", colour, label) for label, colour in zip(labels, _COLOURS, strict=False))]


def timeline_figures(evidence: Evidence) -> list[Figure]:
    """One figure per video."""
    return [_timeline(timeline, number) for number, timeline in enumerate(evidence.timelines)]


def _timeline(timeline: Timeline, number: int) -> Figure:
    kept = _classes(timeline)
    labels = list(timeline.predicted)
    height = 0.8 / (1 + len(labels))
    offsets = [(-0.4 + height * (i + 0.5)) for i in range(1 + len(labels))]
    true = [(kept.index(name), s, e, None) for name, ss in timeline.true.items() if name in kept for s, e in ss]
    traces = [_bars("true", true, offsets[0], height, GREY)]
    num_found = 0
    for label, colour, offset in zip(labels, _COLOURS, offsets[1:], strict=False):
        lanes_of = timeline.predicted[label]
        found = [(kept.index(name), *seg) for name, segs in lanes_of.items() if name in kept for seg in segs]
        traces.append(_bars(label, found, offset, height, colour))
        num_found += len(found)
    return Figure(
        f"timeline-{number}",
        timeline.video_id,
        f"Timeline of video {timeline.video_id}, {timeline.duration_s:.0f} seconds: {len(true)} true segments above "
        f"{num_found} predicted ones, classes {', '.join(kept)}.",
        _left_out(timeline, kept, len(true), num_found),
        (),
        50 + 22 * (1 + len(labels)) * len(kept),
        spec(
            traces,
            xaxis={"title": {"text": "seconds"}, "range": [0, timeline.duration_s]},
            yaxis=lanes(kept, wrapped),
            barmode="overlay",
            shapes=[_separator(lane + 0.5) for lane in range(len(kept) - 1)],
        ),
    )


def _separator(y: float) -> dict[str, Any]:
    """A thin line between two lanes."""
    line = {"color": GREY, "width": 1}
    return {
        "type": "line",
        "opacity": 0.4,
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "line": line,
        "layer": "below",
    }


def _left_out(timeline: Timeline, kept: Sequence[str], num_true: int, num_found: int) -> str:
    """What a video with more classes than lanes does not show."""
    classes = set(timeline.true).union(*timeline.predicted.values())
    if len(kept) == len(classes):
        return ""
    all_true = sum(len(segments) for segments in timeline.true.values())
    all_found = sum(len(segments) for lanes_of in timeline.predicted.values() for segments in lanes_of.values())
    return (
        f"{len(kept)} of {len(classes)} classes; {count(all_true - num_true, 'true segment')} and "
        f"{count(all_found - num_found, 'prediction')} of the others are not drawn."
    )


def _classes(timeline: Timeline) -> list[str]:
    """True classes as they begin, then predicted ones by falling score."""
    best: dict[str, float] = {}
    for lanes_of in timeline.predicted.values():
        for name, segments in lanes_of.items():
            best[name] = max(best.get(name, float("-inf")), *(value for _, _, value in segments))
    others = sorted((name for name in best if name not in timeline.true), key=lambda name: -best[name])
    true = sorted(timeline.true, key=lambda name: (min(timeline.true[name]), name))
    return [*true, *others][:MAX_LANES]


def _bars(
    name: str, segments: Sequence[tuple[int, float, float, float | None]], offset: float, height: float, colour: str
) -> dict[str, Any]:
    """Horizontal bars (lane, start, end, score); fainter for lower scores, full without one.

    The outline is never faint: it shows where a bar ends, and that what lies on another is two.
    """
    top = max((score for *_, score in segments if score is not None), default=1.0)
    shares = [1.0 if score is None or top <= 0 else max(0.0, score) / top for *_, score in segments]
    return {
        "type": "bar",
        "orientation": "h",
        "name": escaped(name),
        "base": [start for _, start, _, _ in segments],
        "x": [end - start for _, start, end, _ in segments],
        "y": [lane + offset for lane, _, _, _ in segments],
        "width": 0.86 * height,
        "marker": {
            "color": [_faded(colour, 0.2 + 0.8 * share) for share in shares],
            "line": {"color": colour, "width": 1},
        },
        "text": [
            f"{start:.1f} – {end:.1f} s" + ("" if score is None else f", score {score:.3f}")
            for _, start, end, score in segments
        ],
        "textposition": "none",
        "hoverinfo": "text+name",
    }


def _faded(colour: str, opacity: float) -> str:
    """``#rrggbb`` with an opacity of its own."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return f"rgba({red}, {green}, {blue}, {opacity:.3f})"
