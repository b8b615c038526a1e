"""A scorecard on the terminal and as JSON, CSV and a page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from rich.console import Console
from rich.table import Column, Table

from trainables.entrypoints.eval_diagnosis import diagnosis_tables
from trainables.evaluation.scorecard import CONFIDENCE, Scorecard
from trainables.files import replacing

#: How a warning's count reads, where its name alone does not say it.
MEANING = {
    "tied_scores": "predictions with the score of the one ranked before: the order of the file decides",
    "videos_without_detections": "annotated videos on which nothing was detected: their instances are missed",
    "classes_without_ground_truth": "classes without an instance in this subset: left out of the mean",
    "detections_of_classes_without_ground_truth": "detections of such classes: not counted",
    "unknown_label_detections_dropped": "detections with a label that the annotations lack: left out",
    "unknown_video_detections_dropped": "detections on videos that the subset lacks: left out",
    "unknown_video_detections_counted": "detections on videos that the subset lacks: counted as misses",
    "empty_detections_dropped": "detections without length: left out",
    "reversed_detections": "detections that end before they start",
    "excluded_videos": "annotated videos left out on request",
    "excluded_video_detections": "detections on videos left out on request",
    "videos_without_instances_left_out": "videos without any instance: left out, with their predictions",
    "near_duplicate_instances_left_out": "instances that repeat another one: left out",
    "instances_without_length_left_out": "instances without length: left out",
    "unknown_videos_dropped": "predicted videos that the subset lacks: left out",
    "videos_without_scores": "annotated videos without scores: they rank last",
    "points_without_scores": "points of annotated videos without scores: they rank last",
    "videos_without_action_ranked_last": "videos without action: their scores are not read, they rank last",
    "videos_without_predictions": "annotated videos without predictions",
    "repeated_predictions": "predictions of a class that its video had already: misses",
    "excluded_video_predictions": "predictions on videos left out on request",
    "unknown_label_predictions_dropped": "predictions with a label that the annotations lack: left out",
    "unknown_video_predictions_dropped": "predictions on videos that the subset lacks: left out",
    "unknown_video_predictions_counted": "predictions on videos that the subset lacks: counted as misses",
    "videos_without_proposals": "annotated videos without proposals: their instances are missed",
    "proposals_on_other_videos_left_out": "proposals on videos without instances: left out",
    "frames_with_unknown_label": "frames predicted with a label that the annotations lack: wrong",
}


Diagnosis = Mapping[str, Any] | None


def print_scorecard(card: Scorecard, source: Mapping[str, str], diagnosis: Diagnosis = None) -> None:
    """Metrics, per-class AP, errors and warnings as tables; values in percent."""
    console = Console(markup=False)
    console.print(f"{source['predictions']} against {source['truth']} ({source['subset']})", soft_wrap=True)
    console.print(f"protocol {card.protocol} {card.version}: {counts_line(card)}", soft_wrap=True)
    table = Table("metric", "%", *([f"{CONFIDENCE:.0%} over videos"] if card.intervals else []))
    for name, value in card.metrics.items():
        table.add_row(name, percent(value), *([_interval(card, name)] if card.intervals else []))
    console.print(table)
    names = columns(card)
    per_class = Table(Column("class", no_wrap=True), *map(short, names), title="AP per class, %")
    for label, values in card.per_class.items():
        per_class.add_row(label, *(percent(values[name]) for name in names))
    if card.per_class:
        console.print(per_class)
    for part in diagnosis_tables(diagnosis) if diagnosis else []:
        errors = Table(Column(part.columns[0], no_wrap=True), *part.columns[1:], title=part.title)
        for row in part.rows:
            errors.add_row(*row)
        console.print(errors)
    for name, count in card.warnings.items():
        console.print(f"warning: {count} {MEANING.get(name, name)}", soft_wrap=True)


def write_json(path: Path, card: Scorecard, source: Mapping[str, str], diagnosis: Diagnosis = None) -> None:
    """All numbers, unrounded."""
    content = {**card.as_dict(), "source": dict(source)}
    if diagnosis is not None:
        content["diagnosis"] = dict(diagnosis)
    _replace(path, json.dumps(content, indent=1) + "\n")


def write_csv(path: Path, card: Scorecard, source: Mapping[str, str], diagnosis: Diagnosis = None) -> None:
    """One row a class, the mean last, unrounded; protocol and subset in every row, for tables of many files.

    A protocol without values of classes gets one row of all its metrics. A diagnosis has no place in it.
    """
    names, buffer = columns(card) or list(card.metrics), io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["predictions", "protocol", "subset", "class", *names])
    first = [source["predictions"], f"{card.protocol} {card.version}", source["subset"]]
    for label, values in card.per_class.items():
        writer.writerow([*first, label, *(values[name] for name in names)])
    writer.writerow([*first, "mean" if card.per_class else "all", *(card.metrics[name] for name in names)])
    _replace(path, buffer.getvalue())


def write_html(path: Path, card: Scorecard, source: Mapping[str, str], diagnosis: Diagnosis = None) -> None:
    """One self-contained page."""
    environment = Environment(loader=PackageLoader("trainables.entrypoints"), autoescape=True)
    page = environment.get_template("eval.html").render(
        card=card,
        source=source,
        counts=counts_line(card),
        confidence=f"{CONFIDENCE:.0%}",
        percent=percent,
        interval=lambda name: _interval(card, name),
        columns=columns(card),
        short=short,
        meaning=MEANING,
        diagnosis=diagnosis_tables(diagnosis) if diagnosis else [],
    )
    _replace(path, page)


def columns(card: Scorecard) -> Sequence[str]:
    """Metrics that every class has."""
    first = next(iter(card.per_class.values()), {})
    return [name for name in card.metrics if name in first]


def short(name: str) -> str:
    """A metric's name as the head of a column: thresholds as numbers."""
    return name.removeprefix("map_tiou_")


def counts_line(card: Scorecard) -> str:
    """What was scored, in words."""
    return ", ".join(f"{count:,} {name}" for name, count in card.counts.items())


def percent(value: float) -> str:
    """Two decimals, as the field prints mAP."""
    return f"{100 * value:.2f}"


def _interval(card: Scorecard, name: str) -> str:
    if name not in card.intervals:
        return "-"
    low, high = card.intervals[name]
    return f"{percent(low)} to {percent(high)}"


def _replace(path: Path, text: str) -> None:
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
