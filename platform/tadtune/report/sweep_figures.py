"""Figures of a sweep: history, importances, every parameter against the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tadtune.report.data import ReportData, SweepReport, SweepTrial
from tadtune.report.figures import BLUE, GREY, ORANGE, Figure, escaped, lanes, spec
from tadtune.report.setting import text
from tadtune.report.wording import metric_title, score
from tadtune.spec.space import Parameter

#: Ordinate of all figures of scores on ``select``.
_UNIT = "%"


def history_figure(data: ReportData, sweep: SweepReport) -> Figure | None:
    """Scores in the order in which trials ended, and the best so far."""
    complete = [t for t in sweep.trials if t.status == "complete" and t.objective is not None]
    if not complete:
        return None
    pruned = [t for t in sweep.trials if t.status == "pruned" and t.objective is not None]
    legend = [("━", ORANGE, "best so far"), ("●", BLUE, "complete")]
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [t.number for t in complete],
            "y": [_percent(t.best) for t in complete],
            "line": {"color": ORANGE, "width": 2.5, "shape": "hv"},
            "hoverinfo": "skip",
        },
        _dots("complete", complete, sweep, {"color": BLUE, "size": 9, "opacity": 0.8}),
    ]
    if pruned:
        traces.append(_dots("pruned, last score", pruned, sweep, {"color": GREY, "size": 9, "symbol": "x-thin-open"}))
        legend.append(("✕", GREY, "pruned, last score"))
    if sweep.start is not None:
        ring = {"color": ORANGE, "size": 16, "symbol": "circle-open", "line": {"width": 2.5}}
        traces.append(_dots("starting point", [sweep.start], sweep, ring))
        legend.append(("◯", ORANGE, "starting point"))
    title = metric_title(data.study.metric.name)
    best = "" if sweep.best is None else f"; the best, trial {sweep.best.number}, has {score(sweep.best.objective)}"
    tuned = " with tuned inference values" if data.tuned else ""
    return Figure(
        "history",
        "Search history",
        f"Scatter plot of {title} on select of {len(complete)} complete trials in the order in which they ended{best}.",
        f"{title} on select{tuned}, in percent, in the order in which trials ended. The best of many trials is chosen "
        "on select, so its score there is flattering; test is the fair one.",
        tuple(legend),
        320,
        spec(
            traces,
            xaxis={"title": {"text": "trial"}, "range": [0, len(sweep.trials) + 1]},
            yaxis={"title": {"text": f"{title}, {_UNIT}"}},
        ),
    )


def _dots(name: str, trials: Sequence[SweepTrial], sweep: SweepReport, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [t.number for t in trials],
        "y": [_percent(t.objective) for t in trials],
        "marker": marker,
        "text": [_hover(t) for t in trials],
        "hoverinfo": "text",
    }


def _hover(trial: SweepTrial) -> str:
    lines = [f"trial {trial.number}, {trial.status}: {score(trial.objective)}"]
    lines += [f"{path.rsplit('.', 1)[-1]} = {text(value)}" for path, value in trial.values.items()]
    return "<br>".join(escaped(line) for line in lines)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def importance_figure(sweep: SweepReport) -> Figure | None:
    """Share of every parameter."""
    shares = sweep.importances.values
    if not shares:
        return None
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * share for share in shares.values()],
        "y": list(range(len(shares))),
        "marker": {"color": BLUE},
        "text": [f"{100 * share:.0f} %" for share in shares.values()],
        "textposition": "outside",
        "hovertext": [escaped(path) for path in shares],
        "hoverinfo": "text",
    }
    summary = ", ".join(f"{path} {100 * share:.0f} %" for path, share in shares.items())
    return Figure(
        "importances",
        "What matters",
        f"Bar chart of parameter importances: {summary}.",
        "PED-ANOVA: how much each parameter alone sets the best tenth of the trials apart. Interactions are not seen.",
        (),
        70 + 34 * len(shares),
        spec(
            [bars],
            xaxis={"title": {"text": "share, %"}, "range": [0, 118 * max(shares.values())]},
            yaxis=lanes([path.split(".", 1)[-1] for path in shares]),
        ),
    )


def parameter_figures(data: ReportData, sweep: SweepReport) -> list[Figure]:
    """One small scatter plot per sampled parameter."""
    assert data.study.sweep is not None, "a sweep"
    complete = [t for t in sweep.trials if t.status == "complete" and t.objective is not None]
    found = []
    for number, parameter in enumerate(data.study.sweep.space):
        trials = [t for t in complete if parameter.path in t.values]
        if len(trials) > 1:
            found.append(_parameter(data, sweep, parameter, trials, number))
    return found


def _parameter(
    data: ReportData, sweep: SweepReport, parameter: Parameter, trials: list[SweepTrial], number: int
) -> Figure:
    axis: dict[str, Any] = {"type": "log" if parameter.log else "linear", "nticks": 5}
    if parameter.log:
        axis |= {"dtick": 1} if parameter.high / parameter.low >= 100 else {}
    xs = {t.id: t.values[parameter.path] for t in trials}
    if parameter.kind == "categorical":
        names = [text(choice) for choice in parameter.choices]
        axis = {"tickvals": list(range(len(names))), "ticktext": [escaped(n[:12]) for n in names], "type": "linear"}
        axis["range"] = [-0.5, len(names) - 0.5]
        xs = {t.id: names.index(text(t.values[parameter.path])) for t in trials}
    traces = [_spots("complete", trials, xs, {"color": BLUE, "size": 8, "opacity": 0.75})]
    for name, trial, symbol in (("starting point", sweep.start, "circle-open"), ("best", sweep.best, "star")):
        if trial is not None and trial.id in xs:
            marker = {"color": ORANGE, "size": 14, "symbol": symbol, "line": {"width": 2, "color": ORANGE}}
            traces.append(_spots(name, [trial], xs, marker))
    title = metric_title(data.study.metric.name)
    return Figure(
        f"parameter-{number}",
        parameter.path,
        f"Scatter plot of {title} on select against {parameter.path} for {len(trials)} trials.",
        "",
        (),
        200,
        spec(traces, xaxis=axis, yaxis={"title": {"text": f"{title}, {_UNIT}"}, "nticks": 5}),
    )


def _spots(name: str, trials: Sequence[SweepTrial], xs: dict[str, Any], marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [xs[t.id] for t in trials],
        "y": [_percent(t.objective) for t in trials],
        "marker": marker,
        "text": [_hover(t) for t in trials],
        "hoverinfo": "text",
    }
