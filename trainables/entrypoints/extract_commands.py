"""``tadtune data extract``. Heavy imports wait until it runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainables.entrypoints.failure import fail

if TYPE_CHECKING:
    from trainables.backbones.extractor import ExtractionSettings
    from trainables.entrypoints.extraction import Resources, VideoResult


def extract(
    videos: Annotated[Path, typer.Option(help="Folder of videos; a file's name without ending is the video's id.")],
    out: Annotated[Path, typer.Option(help="Folder of the features; the same again resumes.")],
    backbone: Annotated[str, typer.Option(help="Network, frames and snippets by name: c3d, i3d, x3d_m, tsn ...")],
    weights: Annotated[
        list[Path] | None, typer.Option(help="Checkpoint; once a stream, RGB first. Recognised by its keys.")
    ] = None,
    random_weights: Annotated[
        int | None, typer.Option(help="Seed of untrained weights, to try things out; instead of --weights.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the checkpoint's keys, where not recognised.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Whose output is the feature, instead of the usual.")] = None,
    crop: Annotated[int | None, typer.Option(help="Input size in pixels, instead of the usual.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate, instead of the usual.")] = None,
    snippet_len: Annotated[int | None, typer.Option(help="Frames of a snippet, instead of the usual.")] = None,
    snippet_stride: Annotated[int | None, typer.Option(help="Frames between snippets, instead of the usual.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Snippets in one pass.")] = 8,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cpus: Annotated[int, typer.Option(min=1, help="Cores of a process.")] = 1,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs of a process; 1 with --device cuda.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; else RAY_ADDRESS, else a local one.")] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try files again that could not be read, though they have not changed.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any video failed.")] = False,
) -> None:
    """Extract features of videos; what was interrupted goes on where it was.

    Exit codes: 0 = done, failed videos are listed; 1 = no video has features, or with --strict one failed; 2 = an
    option or a file is wrong.
    """
    from trainables.backbones.extractor import ExtractionSettings
    from trainables.data.video.files import find_videos
    from trainables.entrypoints.extraction import Resources, begin, quarantine_of

    try:
        settings = ExtractionSettings(
            backbone=backbone,
            weights=tuple(weights or ()),
            random_seed=random_weights,
            layout=layout,
            endpoint=endpoint,
            crop=crop,
            fps=fps,
            snippet_len_frames=snippet_len,
            snippet_stride_frames=snippet_stride,
            batch_size=batch_size,
            device=_device(device),
        )
        found, others = find_videos(videos)
        extraction = begin(out, settings)
        if retry:
            quarantine_of(out).unlink(missing_ok=True)
        resources = Resources(workers, cpus, gpus if gpus is not None else float(device == "cuda"), address)
        typer.echo(f"{len(found)} videos in {videos}" + (f", {others} other files are left alone" if others else ""))
        failed = _extract(found, out, settings, extraction, resources)
        if len(failed) < len(found):
            typer.echo(_next_step(out, settings))
    except (ValueError, OSError, ModuleNotFoundError) as error:
        raise fail(error) from error
    if failed and (strict or len(failed) == len(found)):
        raise typer.Exit(1)


def _next_step(out: Path, settings: ExtractionSettings) -> str:
    """The command that makes a data set of the features."""
    from trainables.entrypoints.extraction import features_folder

    preset = settings.preset()
    rate = f" --fps {preset.fps:g}" if preset.fps else ""
    length = 1 if preset.every_frame else preset.snippet_len_frames
    frames = f"--len-frames {length} --stride-frames {preset.snippet_stride_frames}"
    before = (preset.snippet_stride_frames - length) // 2  # a snippet is centred on its stride
    frames += f" --first-frame {before}" if before else ""
    return (
        f"next: tadtune data import --annotations FILE --features {features_folder(out)} --layout tc "
        f"{frames}{rate} --out STORE"
    )


def _device(name: str) -> str:
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device: '{name}' is none of cpu, cuda")
    return name


def _extract(
    videos: dict[str, Path], out: Path, settings: ExtractionSettings, extraction: str, resources: Resources
) -> Sequence[VideoResult]:
    """Extract what is left, tell each video as it is done, and list those that failed."""
    from trainables.entrypoints.extraction import extract_videos, finished, quarantine_of
    from trainables.entrypoints.video_source import open_video

    done = finished(out, videos, extraction)
    if done:
        typer.echo(f"{len(done)} are done already")
    left = {video_id: path for video_id, path in videos.items() if video_id not in done}
    results = []
    opener = partial(open_video, quarantine=quarantine_of(out).resolve())
    for result in extract_videos(left, out, settings, extraction, opener=opener, resources=resources):
        results.append(result)
        told = f"failed: {result.reason}" if result.reason else f"{result.num_snippets} snippets"
        typer.echo(f"[{len(done) + len(results)}/{len(videos)}] {result.video_id}: {told}")
    failed = sorted((r for r in results if r.reason), key=lambda r: r.video_id)
    typer.echo(f"{len(videos) - len(failed)} of {len(videos)} videos have features, {len(failed)} failed")
    for result in failed:
        typer.echo(f"  {result.video_id}: {result.reason}")
    return failed
