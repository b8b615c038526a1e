"""``tadtune data``: build and look at data sets. Heavy imports wait until a verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainables.entrypoints.feature_commands import import_store, simulated

data = typer.Typer(help="Build and inspect data sets.", no_args_is_help=True)
build = typer.Typer(help="Build a data set.", no_args_is_help=True)
data.add_typer(build, name="build")


data.command("import")(import_store)
build.command()(simulated)


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)


@build.command()
def stitched(
    clips: Annotated[Path, typer.Option(help="Folder or tar archive of <class>_<number>.npy files, (T, D) each.")],
    out: Annotated[Path, typer.Option(help="Folder of the new store.")],
    classes: Annotated[int, typer.Option(min=1, help="Action classes: those with the most clips.")] = 10,
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="An action class by name; repeat it. Replaces --classes.")
    ] = None,
    min_clips: Annotated[int, typer.Option(min=1, help="Clips that an action class must have.")] = 1,
    train: Annotated[int, typer.Option(min=1, help="Videos in train.")] = 120,
    select: Annotated[int, typer.Option(min=1, help="Videos in select.")] = 40,
    test: Annotated[int, typer.Option(min=1, help="Videos in test.")] = 60,
    num_snippets: Annotated[tuple[int, int], typer.Option(help="Shortest and longest video.")] = (60, 150),
    clips_per_action: Annotated[tuple[int, int], typer.Option(help="Fewest and most clips of an action.")] = (2, 3),
    gap: Annotated[tuple[int, int], typer.Option(help="Background clips between the clips of an action.")] = (0, 0),
    snippet_seconds: Annotated[float, typer.Option(help="Seconds that a snippet covers.")] = 16 / 30,
    standardise: Annotated[
        bool, typer.Option(help="Mean 0 and deviation 1 of every channel over the training clips.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
) -> None:
    """Join real trimmed clips into untrimmed videos with known boundaries."""
    from trainables.data.clips import read_clips
    from trainables.data.stitched import StitchSettings, stitch, trimmed_clips
    from trainables.data.store import write_store
    from trainables.data.trimmed import trimmed_folder

    try:
        settings = StitchSettings(
            class_names=tuple(class_name or ()),
            num_classes=classes,
            min_clips=min_clips,
            num_videos=(train, select, test),
            num_snippets=num_snippets,
            clips_per_action=clips_per_action,
            gap=gap,
            snippet_seconds=snippet_seconds,
            standardise=standardise,
            seed=seed,
        )
        found = read_clips(clips)
        videos, names, builder = stitch(found, settings)
        write_store(out, videos, names, builder)
        write_store(trimmed_folder(out), trimmed_clips(found, settings), names, builder)
    except (ValueError, OSError) as error:
        raise _fail(error) from error
    inspect(out)


@build.command()
def synthetic(
    data_root: Annotated[Path, typer.Option("--data", envvar="TADTUNE_DATA", help="Folder of data sets.")] = Path(
        "data"
    ),
    num_videos: Annotated[int, typer.Option(help="Videos of all splits.")] = 60,
    num_classes: Annotated[int, typer.Option(help="Action classes.")] = 5,
    feat_dim: Annotated[int, typer.Option(help="Feature channels.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Of the generator.")] = 0,
) -> None:
    """Generate features with planted difficulty, where a study with these settings will look for them."""
    from trainables.data.synthetic_config import Config

    try:
        config = Config(num_videos=num_videos, num_classes=num_classes, feat_dim=feat_dim, seed=seed)
        config.prepare(data_root)
    except (ValueError, OSError) as error:
        raise _fail(error) from error
    inspect(config.folder(data_root))


@data.command()
def inspect(store: Annotated[Path, typer.Argument(help="Folder of a store.")]) -> None:
    """Show counts, durations, class balance, segment lengths and overlaps, and check the contents' digest."""
    from itertools import pairwise

    from rich.console import Console
    from rich.table import Table

    from trainables.data.inspection import LENGTH_EDGES_S, shared_clips, summarise
    from trainables.data.store import FeatureStore

    try:
        opened = FeatureStore(store)
    except (ValueError, OSError) as error:
        raise _fail(error) from error
    summaries = summarise(opened)
    console = Console(markup=False)
    whole = opened.verify()
    verdict = "contents match the digest" if whole else "CONTENTS DO NOT MATCH THE DIGEST"
    console.print(f"{store}: {opened.feat_dim} channels, {len(opened.class_names)} classes", soft_wrap=True)
    console.print(f"digest {opened.manifest['digest'][:12]}: {verdict}")
    for clip in shared_clips(opened):
        console.print(f"clip '{clip}' is in videos of more than one split")
    table = Table("", *(s.split for s in summaries))
    rows = {
        "videos": [str(s.videos) for s in summaries],
        "segments": [str(s.segments) for s in summaries],
        "ambiguous segments": [str(s.ambiguous) for s in summaries],
        "hours": [f"{s.hours:.2f}" for s in summaries],
        "shortest, median, longest video, s": [", ".join(f"{d:.1f}" for d in s.durations_s) for s in summaries],
        "share of time with action": [f"{100 * s.action_share:.0f} %" for s in summaries],
        "overlapping segments": [str(s.overlapping) for s in summaries],
        "segments beyond the end": [str(s.beyond_end) for s in summaries],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    table.add_section()
    for i, (low, high) in enumerate(pairwise(LENGTH_EDGES_S)):
        table.add_row(f"length {low:g} to {high:g} s", *(str(s.lengths[i]) for s in summaries))
    table.add_section()
    for name in opened.class_names:
        cells = [f"{s.per_class[name]} in {s.videos_per_class[name]} videos" for s in summaries]
        table.add_row(f"class {name}", *cells)
    console.print(table)
    if not whole:
        raise typer.Exit(1)
