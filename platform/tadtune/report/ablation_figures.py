"""Figures of an ablation: differences with intervals, and every seed."""

from __future__ import annotations

from typing import Any

from tadtune.report.data import AblationReport, ReportData
from tadtune.report.figures import BLUE, ORANGE, Figure, escaped, lanes, spec, vertical_line
from tadtune.report.wording import gap, gap_interval, metric_title, score


def ablation_figures(data: ReportData, ablation: AblationReport) -> list[Figure]:
    """Those for which there is something to show."""
    found = [_forest(data, ablation, f"test/{data.headline}"), _strips(data, ablation, f"test/{data.headline}")]
    return [figure for figure in found if figure is not None]


def _forest(data: ReportData, ablation: AblationReport, name: str) -> Figure | None:
    rows = [row for row in ablation.rows if name in row.differences]
    if not rows:
        return None
    gaps = [row.differences[name] for row in rows]
    keys = [row.row.key for row in rows]
    ours: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": "ours, 95 % interval",
        "x": [100 * g.mean for g in gaps],
        "y": list(range(len(gaps))),
        "marker": {"color": BLUE, "size": 11},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [0 if g.interval is None else 100 * (g.interval.high - g.mean) for g in gaps],
            "arrayminus": [0 if g.interval is None else 100 * (g.mean - g.interval.low) for g in gaps],
            "color": BLUE,
            "thickness": 2.5,
            "width": 7,
        },
        "text": [f"{escaped(k)}: {gap(g.mean)} {gap_interval(g)}" for k, g in zip(keys, gaps, strict=True)],
        "hoverinfo": "text",
    }
    traces = [ours]
    printed = [(i, g.paper) for i, g in enumerate(gaps) if g.paper is not None]
    if printed:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "paper",
                "x": [100 * value for _, value in printed],
                "y": [i + 0.24 for i, _ in printed],
                "marker": {"color": ORANGE, "size": 11, "symbol": "diamond-open", "line": {"width": 2}},
                "text": [f"{escaped(keys[i])}: paper {gap(value)}" for i, value in printed],
                "hoverinfo": "text",
            }
        )
    title = metric_title(data.headline)
    summary = "; ".join(f"{key} {gap(g.mean)} {gap_interval(g)}" for key, g in zip(keys, gaps, strict=True))
    return Figure(
        "forest",
        f"Differences to '{ablation.baseline}'",
        f"Forest plot of differences in {title} on test: {summary}.",
        f"{title} on test in points, row minus '{ablation.baseline}', paired by seed. An interval that crosses the "
        "dotted line is compatible with no difference.",
        (("●", BLUE, "ours, 95 % interval"), ("◇", ORANGE, "paper"))[: len(traces)],
        70 + 46 * len(rows),
        spec(
            traces,
            xaxis={"title": {"text": "points"}},
            yaxis=lanes(keys),
            shapes=[vertical_line(0)],
        ),
    )


def _strips(data: ReportData, ablation: AblationReport, name: str) -> Figure | None:
    rows = [row for row in ablation.rows if name in row.statistics.metrics]
    if not rows:
        return None
    keys = [row.row.key for row in rows]
    points = [
        (i, seed, value) for i, row in enumerate(rows) for seed, value in row.statistics.metrics[name].values.items()
    ]
    seeds: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": "one seed",
        "x": [100 * value for _, _, value in points],
        "y": [i for i, _, _ in points],
        "marker": {"color": BLUE, "size": 10, "opacity": 0.65},
        "text": [f"{escaped(keys[i])}, seed {seed}: {score(value)}" for i, seed, value in points],
        "hoverinfo": "text",
    }
    means = {
        "type": "scatter",
        "mode": "markers",
        "name": "mean",
        "x": [100 * row.statistics.metrics[name].mean for row in rows],
        "y": list(range(len(rows))),
        "marker": {"color": BLUE, "size": 22, "symbol": "line-ns-open", "line": {"width": 3, "color": BLUE}},
        "text": [
            f"{escaped(k)}: mean {score(row.statistics.metrics[name].mean)}" for k, row in zip(keys, rows, strict=True)
        ],
        "hoverinfo": "text",
    }
    traces = [seeds, means]
    printed = [(i, row.paper[data.headline]) for i, row in enumerate(rows) if data.headline in row.paper]
    if printed and data.setting.same_data:  # values on other data belong on no common axis
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "paper",
                "x": [100 * value for _, value in printed],
                "y": [i for i, _ in printed],
                "marker": {"color": ORANGE, "size": 11, "symbol": "diamond-open", "line": {"width": 2}},
                "text": [f"{escaped(keys[i])}: paper {score(value)}" for i, value in printed],
                "hoverinfo": "text",
            }
        )
    title = metric_title(data.headline)
    summary = "; ".join(f"{k} {score(row.statistics.metrics[name].mean)}" for k, row in zip(keys, rows, strict=True))
    return Figure(
        "seeds",
        "Every seed",
        f"Strip plot of {title} on test per seed; means: {summary}.",
        f"{title} on test in percent; one dot is one trained model.",
        (("●", BLUE, "one seed"), ("┃", BLUE, "mean"), ("◇", ORANGE, "paper"))[: len(traces)],
        70 + 40 * len(rows),
        spec(traces, xaxis={"title": {"text": f"{title}, %"}}, yaxis=lanes(keys)),
    )
