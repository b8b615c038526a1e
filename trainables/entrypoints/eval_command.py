"""``tadtune eval``: score anybody's file of predictions. Needs neither Ray nor a study; heavy imports wait."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainables.entrypoints.failure import fail


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="Detections, proposals: ActivityNet result JSON (.json), THUMOS'14 text (.txt), Parquet (.parquet); "
            "frame scores: folder of .npz, Parquet, Charades text; video scores: ActivityNet JSON, Charades text; "
            "frame labels: folder of texts or .npz."
        ),
    ],
    truth: Annotated[
        Path,
        typer.Option(
            help="Annotations in any format that `tadtune data inspect` reads, or the folder of a store; for frame "
            "labels a folder like that of the predictions."
        ),
    ],
    protocol: Annotated[
        str,
        typer.Option(
            help="Evaluation protocol; `tadtune list protocols` names those of detections, `tadtune list metrics` "
            "those of other predictions."
        ),
    ] = "activitynet",
    subset: Annotated[
        str | None,
        typer.Option(
            help="Subset of the annotations, split of a store, or for frame labels a file that lists the videos; "
            "default: the only one."
        ),
    ] = None,
    tiou: Annotated[
        str | None, typer.Option(help="tIoU thresholds: 0.5, 0.3,0.5,0.7 or 0.3:0.7:0.1. Default: the protocol's.")
    ] = None,
    truth_format: Annotated[str, typer.Option(help="Format of the annotations.")] = "auto",
    exclude: Annotated[
        Path | None, typer.Option(help="Video ids to leave out of both sides: a JSON list, or one id a line.")
    ] = None,
    on_unknown_label: Annotated[
        str | None, typer.Option(help="Labels that the annotations lack: error or drop.", show_default="the protocol's")
    ] = None,
    on_unknown_video: Annotated[
        str | None,
        typer.Option(
            help="Videos that the subset lacks: error, drop or count (as misses).", show_default="the protocol's"
        ),
    ] = None,
    on_reversed_segment: Annotated[
        str | None,
        typer.Option(help="Segments that end before they start: error, miss or swap.", show_default="the protocol's"),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another setting of the protocol, as name=value; `tadtune describe` shows them."),
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of the videos for 95 % intervals.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Also say what the errors are and which instances suffer (DETAD).")
    ] = False,
    buckets: Annotated[
        str, typer.Option(help="Ranges of length, coverage, instances: activitynet, thumos14 or quantiles.")
    ] = "activitynet",
    characteristics: Annotated[
        Path | None, typer.Option(help="DETAD's JSON of further characteristics of the instances.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the scores as JSON.")] = None,
    csv_out: Annotated[Path | None, typer.Option("--csv", help="Write per-class AP as CSV.")] = None,
    html_out: Annotated[Path | None, typer.Option("--html", help="Write a page with all tables.")] = None,
) -> None:
    """Score a file of predictions: per-threshold and per-class tables, and what was counted on the way."""
    from trainables.data.readers.video_ids import read_video_ids
    from trainables.entrypoints.eval_diagnosis import diagnose_file
    from trainables.entrypoints.eval_inputs import read_inputs
    from trainables.entrypoints.eval_options import make_protocol, parse_grid, with_settings
    from trainables.entrypoints.eval_output import print_scorecard, write_csv, write_html, write_json
    from trainables.evaluation.scorecard import score_predictions

    try:
        for out in (json_out, csv_out, html_out):
            if out is not None and not out.absolute().parent.is_dir():
                raise ValueError(f"{out}: the folder does not exist")
        rules = make_protocol(
            protocol,
            tiou_thresholds=parse_grid(tiou) if tiou else None,
            exclude_videos=read_video_ids(exclude) if exclude else None,
            on_unknown_label=on_unknown_label,
            on_unknown_video=on_unknown_video,
            on_reversed_segment=on_reversed_segment,
        )
        rules = with_settings(rules, setting or [])
        found, annotated, durations_s = read_inputs(rules, predictions, truth, truth_format=truth_format, subset=subset)
        card = score_predictions(rules, found, annotated, num_resamples=bootstrap, seed=seed)
        diagnosis = None
        if diagnose:
            diagnosis = diagnose_file(
                found,
                annotated,
                durations_s,
                rules,
                buckets=buckets,
                characteristics=characteristics,
            )
        source = {"predictions": predictions.name, "truth": truth.name, "subset": subset or "all"}
        for write, out in ((write_json, json_out), (write_csv, csv_out), (write_html, html_out)):
            if out is not None:
                write(out, card, source, diagnosis)
    except (ValueError, OSError) as error:
        raise fail(error) from error
    print_scorecard(card, source, diagnosis)
