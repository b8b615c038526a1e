"""``tadtune data``: build and look at data sets. Heavy imports wait until a verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(help="Build and inspect data sets.", no_args_is_help=True)
build = typer.Typer(help="Build a data set.", no_args_is_help=True)
data.add_typer(build, name="build")


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)


@build.command()
def stitched(
    clips: Annotated[Path, typer.Option(help="Folder or tar archive of <class>_<number>.npy files, (T, D) each.")],
    out: Annotated[Path, typer.Option(help="Folder of the new store.")],
    classes: Annotated[int, typer.Option(min=1, help="Action classes: those with the most clips.")] = 10,
    train: Annotated[int, typer.Option(min=1, help="Videos in train.")] = 120,
    select: Annotated[int, typer.Option(min=1, help="Videos in select.")] = 40,
    test: Annotated[int, typer.Option(min=1, help="Videos in test.")] = 60,
    standardise: Annotated[
        bool, typer.Option(help="Mean 0 and deviation 1 of every channel over the training clips.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
) -> None:
    """Join real trimmed clips into untrimmed videos with known boundaries."""
    from trainables.data.clips import read_clips
    from trainables.data.stitched import StitchSettings, stitch
    from trainables.data.store import write_store

    try:
        settings = StitchSettings(
            num_classes=classes, num_videos=(train, select, test), standardise=standardise, seed=seed
        )
        videos, names, builder = stitch(read_clips(clips), settings)
        digest = write_store(out, videos, names, builder)
    except (ValueError, OSError) as error:
        raise _fail(error) from error
    typer.echo(f"{len(videos)} videos, {len(names)} classes, digest {digest[:12]}: {out}")


@data.command()
def inspect(store: Annotated[Path, typer.Argument(help="Folder of a store.")]) -> None:
    """Show counts, durations, class balance, segment lengths and overlaps, and check the contents' digest."""
    from itertools import pairwise

    from rich.console import Console
    from rich.table import Table

    from trainables.data.inspection import LENGTH_EDGES_S, summarise
    from trainables.data.store import FeatureStore

    try:
        opened = FeatureStore(store)
    except (ValueError, OSError) as error:
        raise _fail(error) from error
    summaries = summarise(opened)
    console = Console()
    whole = "contents match the digest" if opened.verify() else "CONTENTS DO NOT MATCH THE DIGEST"
    console.print(f"{store}: {opened.feat_dim} channels, {len(opened.class_names)} classes, {whole}")
    table = Table("", *(s.split for s in summaries))
    rows = {
        "videos": [str(s.videos) for s in summaries],
        "segments": [str(s.segments) for s in summaries],
        "hours": [f"{s.hours:.2f}" for s in summaries],
        "share of time with action": [f"{100 * s.action_share:.0f} %" for s in summaries],
        "overlapping segments": [str(s.overlapping) for s in summaries],
        "segments beyond the end": [str(s.beyond_end) for s in summaries],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    for i, (low, high) in enumerate(pairwise(LENGTH_EDGES_S)):
        table.add_row(f"length {low:g} to {high:g} s", *(str(s.lengths[i]) for s in summaries))
    for name in opened.class_names:
        table.add_row(f"class {name}", *(str(s.per_class[name]) for s in summaries))
    console.print(table)
    if not opened.verify():
        raise typer.Exit(1)
