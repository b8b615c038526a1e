"""``tadtune data build stitched-videos``. Heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from trainables.entrypoints.failure import fail


def stitched_videos(
    clips: Annotated[Path, typer.Option(help="Folder of trimmed videos, one folder a class.")],
    out: Annotated[Path, typer.Option(help="Folder to make: videos/, annotations.json, builder.json.")],
    classes: Annotated[int, typer.Option(min=1, help="Action classes: those with the most clips.")] = 10,
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="An action class by name; repeat it. Replaces --classes.")
    ] = None,
    min_clips: Annotated[int, typer.Option(min=1, help="Clips that an action class must have.")] = 1,
    train: Annotated[int, typer.Option(min=1, help="Videos in train.")] = 120,
    select: Annotated[int, typer.Option(min=1, help="Videos in select.")] = 40,
    test: Annotated[int, typer.Option(min=1, help="Videos in test.")] = 60,
    seconds: Annotated[tuple[float, float], typer.Option(help="Shortest and longest video.")] = (30.0, 60.0),
    max_clip_seconds: Annotated[float, typer.Option(help="Clips are cut to this length.")] = 8.0,
    clips_per_action: Annotated[tuple[int, int], typer.Option(help="Fewest and most clips of an action.")] = (1, 2),
    background: Annotated[tuple[int, int], typer.Option(help="Background clips between actions.")] = (1, 2),
    fps: Annotated[float, typer.Option(help="Frames per second; clips are resampled.")] = 25.0,
    size: Annotated[tuple[int, int], typer.Option(help="Height and width, pixels.")] = (240, 320),
    overlap: Annotated[float, typer.Option(help="Share of actions that another class's action joins.")] = 0.0,
    overlap_style: Annotated[
        Literal["side_by_side", "blend"], typer.Option(help="How two actions share a picture.")
    ] = "side_by_side",
    trimmed: Annotated[
        bool, typer.Option(help="Also write the training clips, for detectors that learn from trimmed clips.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
) -> None:
    """Join real trimmed videos into untrimmed ones with boundaries known to the frame."""
    from trainables.data.frames.folder import ANNOTATIONS_NAME
    from trainables.data.stitched.videos import VideoStitchSettings, frame_plan, stitch_videos
    from trainables.data.video.reader import VideoReader

    try:
        plan, rate = frame_plan(
            fps,
            class_names=tuple(class_name or ()),
            num_classes=classes,
            min_clips=min_clips,
            num_videos=(train, select, test),
            num_snippets=(round(seconds[0] * fps), round(seconds[1] * fps)),
            clips_per_action=clips_per_action,
            background=background,
            max_snippets=round(max_clip_seconds * fps),
            seed=seed,
        )
        settings = VideoStitchSettings(plan, rate, *size, overlap=overlap, overlap_style=overlap_style, trimmed=trimmed)
        with VideoReader() as reader:
            videos, names = stitch_videos(clips, out, settings, reader)
    except (ValueError, OSError) as error:
        raise fail(error) from error
    actions = sum(len(video.segments) for video in videos)
    typer.echo(f"{out}: {len(videos)} videos, {actions} actions of {len(names)} classes; see {ANNOTATIONS_NAME}")
