"""How the numbers were measured, as pairs of words for every writer."""

from __future__ import annotations

from datetime import UTC, datetime

from tadtune.report.answer import noise_sentence
from tadtune.report.data import Deviation, ReportData
from tadtune.report.setting import text, thresholds
from tadtune.report.wording import count, metric_title
from tadtune.track.statistics import RESAMPLES


def measurement_facts(data: ReportData) -> list[tuple[str, str]]:
    """Name and value of each fact."""
    measured = data.measurement
    averaged = [name for name in data.metrics if name.startswith("map_tiou_")]
    videos = "unknown, no matches stored" if measured.num_videos is None else f"{measured.num_videos} videos"
    facts = [
        ("data set", measured_data(data)),
        *(("data left out", remark) for remark in measured.data_remarks),
        ("protocol", measured.protocol),
        ("tIoU thresholds", thresholds(averaged)),
        ("test split", f"{videos}; scored once per trial, never seen by the search"),
        ("seeds", ", ".join(map(str, measured.seeds))),
        ("trials", trial_counts(data)),
        ("last trial ended", _moment(measured.last_end)),
        ("optimised or compared on select", metric_title(data.study.metric.name)),
        ("interval of a mean", "t-interval over seeds, 95 %"),
    ]
    facts += [
        ("interval of a difference", f"{m}, 95 %, {RESAMPLES} resamples where resampled") for m in measured.methods
    ]
    facts.append(("noise", noise_sentence(data)))
    for origin in measured.origins:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items()))
        facts.append(
            (
                f"origin of {count(origin.trials, 'trial')}",
                f"code {origin.code[:12]}, data {origin.data[:12]}, {versions}, on {', '.join(origin.hosts)}",
            )
        )
    return facts


def _moment(unix_time: float | None) -> str:
    if not unix_time:
        return "not yet"
    return datetime.fromtimestamp(unix_time, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def measured_data(data: ReportData) -> str:
    """The data set with its settings."""
    settings = data.measurement.dataset_settings
    listed = ", ".join(f"{path.removeprefix('dataset.')} {text(value)}" for path, value in sorted(settings.items()))
    return data.study.parts.dataset + (f" ({listed})" if listed else "")


def trial_counts(data: ReportData) -> str:
    """Trials by status, of those planned."""
    counts = data.measurement.counts
    listed = [f"{number} {status}" for status, number in counts.items() if number]
    return f"{', '.join(listed) or 'none started'}, of {data.measurement.planned} planned"


def deviation_ours(deviation: Deviation) -> str:
    """Our values, with the rows that have them."""
    return "; ".join(value + (f" ({rows})" if rows else "") for value, rows in deviation.ours.items())


def parameter_table(data: ReportData) -> list[tuple[str, str, str, str]]:
    """Parameter, space, starting point, best trial; inference parameters as tuned."""
    assert data.sweep is not None and data.study.sweep is not None, "a sweep"
    start, best = data.sweep.start, data.sweep.best
    rows = []
    for parameter in data.study.sweep.space:
        space = (
            ", ".join(text(choice) for choice in parameter.choices)
            if parameter.kind == "categorical"
            else f"{text(parameter.low)} .. {text(parameter.high)}{' log' if parameter.log else ''}"
        )
        values = ["" if trial is None else text(trial.config.get(parameter.path)) for trial in (start, best)]
        rows.append((parameter.path, space, *values))
    for parameter in data.study.inference.space:
        values = [
            "" if trial is None else text(trial.inference.get(parameter.path, trial.config.get(parameter.path)))
            for trial in (start, best)
        ]
        rows.append((parameter.path, "tuned at inference", *values))
    return [(a, b, c, d) for a, b, c, d in rows]
