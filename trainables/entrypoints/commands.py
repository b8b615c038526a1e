"""``tadtune data``: build and look at data sets. Heavy imports wait until a verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainables.entrypoints.extract_commands import extract
from trainables.entrypoints.failure import fail
from trainables.entrypoints.feature_commands import import_store, simulated
from trainables.entrypoints.video_commands import stitched_videos

if TYPE_CHECKING:
    from trainables.data.annotations import AnnotationSet

data = typer.Typer(help="Build and inspect data sets.", no_args_is_help=True)
build = typer.Typer(help="Build a data set.", no_args_is_help=True)
data.add_typer(build, name="build")


data.command("import")(import_store)
data.command()(extract)
build.command()(simulated)
build.command("stitched-videos")(stitched_videos)


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
    from trainables.data.features.store import write_store
    from trainables.data.features.trimmed import trimmed_folder
    from trainables.data.stitched.feature_clips import read_clips
    from trainables.data.stitched.features import StitchSettings, stitch, trimmed_clips

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
        raise fail(error) from error
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
    from trainables.data.synthetic.config import Config

    try:
        config = Config(num_videos=num_videos, num_classes=num_classes, feat_dim=feat_dim, seed=seed)
        config.prepare(data_root)
    except (ValueError, OSError) as error:
        raise fail(error) from error
    inspect(config.folder(data_root))


@data.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="Folder of a store, or a file or folder of annotations.")],
    form: Annotated[
        str, typer.Option("--format", help="Format of the annotations; auto recognises it by content.")
    ] = "auto",
    classes: Annotated[Path | None, typer.Option(help="List of the classes of the annotations.")] = None,
    video_info: Annotated[
        list[Path] | None, typer.Option(help="Table of durations, frame rates, subsets; repeat it.")
    ] = None,
    clip_list: Annotated[list[Path] | None, typer.Option(help="Split list of trimmed clips; repeat it.")] = None,
    seconds_per_step: Annotated[float | None, typer.Option(help="Of frame labels that do not say it.")] = None,
    exclude: Annotated[Path | None, typer.Option(help="Video ids to leave out: a JSON list, or one id a line.")] = None,
) -> None:
    """Show counts, durations, class balance, segment lengths, overlaps and faults; check the digest of a store."""
    try:
        if (path / "manifest.json").is_file():
            if form != "auto" or any((classes, video_info, clip_list, seconds_per_step, exclude)):
                raise ValueError(f"{path} is a store; options are for annotations only, leave them out")
            _inspect_store(path)
            return
        from trainables.data.readers import read_annotations

        annotations = read_annotations(
            path,
            format=form,
            classes=classes,
            video_info=video_info or (),
            clip_lists=clip_list or (),
            seconds_per_step=seconds_per_step,
        )
        _inspect_annotations(path, annotations, exclude)
    except (ValueError, OSError) as error:
        raise fail(error) from error


def _inspect_store(folder: Path) -> None:
    from rich.console import Console

    from trainables.data.features.store import FeatureStore
    from trainables.data.inspection import shared_clips, store_annotations, summarise
    from trainables.data.schema import SPLITS
    from trainables.entrypoints.inspect_output import print_summaries

    opened = FeatureStore(folder)
    console = Console(markup=False)
    whole = opened.verify()
    verdict = "contents match the digest" if whole else "CONTENTS DO NOT MATCH THE DIGEST"
    console.print(f"{folder}: {opened.feat_dim} channels, {len(opened.class_names)} classes", soft_wrap=True)
    console.print(f"digest {opened.manifest['digest'][:12]}: {verdict}")
    for remark in opened.remarks():
        console.print(remark, soft_wrap=True)
    for clip in shared_clips(opened):
        console.print(f"clip '{clip}' is in videos of more than one split")
    print_summaries(console, summarise(store_annotations(opened), SPLITS), opened.class_names)
    if not whole:
        raise typer.Exit(1)


def _inspect_annotations(path: Path, annotations: AnnotationSet, exclude: Path | None) -> None:
    from rich.console import Console

    from trainables.data.inspection import summarise
    from trainables.data.readers.video_ids import read_video_ids
    from trainables.entrypoints.inspect_output import print_faults, print_summaries

    console = Console(markup=False)
    names = annotations.class_names
    console.print(f"{path}: format {annotations.format}, {len(names)} classes", soft_wrap=True)
    print_faults(console, annotations.faults)
    if exclude is not None:
        ids = read_video_ids(exclude)
        left = annotations.without(ids)
        gone = len(annotations.videos) - len(left.videos)
        console.print(f"excluded: {gone} videos of the {len(ids)} that are listed; faults are counted with them")
        annotations = left
    print_summaries(console, summarise(annotations, annotations.subsets), names)
