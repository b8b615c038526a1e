"""``tadtune data extract``. Heavy imports wait until it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trainables.backbones.extractor import ExtractionSettings
    from trainables.data.annotations import AnnotationSet
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
    annotations: Annotated[
        Path | None, typer.Option(help="File or folder; with it the features become a store in OUT/store.")
    ] = None,
    format: Annotated[str, typer.Option(help="Format of the annotations; auto = recognised by content.")] = "auto",
    train: Annotated[
        list[str] | None, typer.Option("--train", help="Subset of the annotations to train on; repeat it.")
    ] = None,
    test: Annotated[list[str] | None, typer.Option("--test", help="Subset to score at the end; repeat it.")] = None,
    select: Annotated[int, typer.Option(min=0, help="Videos cut from the training ones for search.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of that cut.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any video failed.")] = False,
) -> None:
    """Extract features of videos; what was interrupted goes on where it was.

    Exit codes: 0 = done, failed videos are listed; 1 = no video has features, or with --strict one failed; 2 = an
    option or a file is wrong.
    """
    from trainables.backbones.extractor import ExtractionSettings
    from trainables.entrypoints.extracted_store import assemble_store
    from trainables.entrypoints.extraction import Resources, begin, features_folder, find_videos

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
        truth = _annotated(annotations, format, train, test, select, seed)
        found, others = find_videos(videos)
        extraction = begin(out, settings)
        resources = Resources(workers, cpus, gpus if gpus is not None else float(device == "cuda"), address)
        typer.echo(f"{len(found)} videos in {videos}" + (f", {others} other files are left alone" if others else ""))
        failed = _extract(found, out, settings, extraction, resources)
        if truth and len(failed) < len(found):
            store = assemble_store(out / "store", features_folder(out), *truth, extraction)
            unlabelled = len(set(found) - {video.video_id for video in truth[0].videos})
            typer.echo(
                f"store: {store.folder}, {len(store.videos)} of {len(truth[0].videos)} annotated videos; "
                f"{unlabelled} videos have no annotation"
            )
            for video_id, reason in store.excluded.items():
                typer.echo(f"  left out: {video_id}: {reason}")
    except (ValueError, OSError, ModuleNotFoundError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    if failed and (strict or len(failed) == len(found)):
        raise typer.Exit(1)


def _annotated(
    path: Path | None, format: str, train: Sequence[str] | None, test: Sequence[str] | None, select: int, seed: int
) -> tuple[AnnotationSet, dict[str, str]] | None:
    """Annotations and the splits of their videos, None where there is no file."""
    if path is None:
        return None
    from trainables.data.readers import read_annotations
    from trainables.data.subsets import subset_splits

    if not train and not test:
        raise ValueError("annotations: name the subsets with --train and --test")
    read = read_annotations(path, format=format)
    return read, subset_splits(read, train=train or (), test=test or (), num_select=select, seed=seed)


def _device(name: str) -> str:
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device: '{name}' is none of cpu, cuda")
    return name


def _extract(
    videos: dict[str, Path], out: Path, settings: ExtractionSettings, extraction: str, resources: Resources
) -> Sequence[VideoResult]:
    """Extract what is left, tell each video as it is done, and list those that failed."""
    from trainables.entrypoints.extraction import extract_videos, finished
    from trainables.entrypoints.plain_video import open_video

    done = finished(out, videos, extraction)
    if done:
        typer.echo(f"{len(done)} are done already")
    left = {video_id: path for video_id, path in videos.items() if video_id not in done}
    results = []
    for result in extract_videos(left, out, settings, extraction, opener=open_video, resources=resources):
        results.append(result)
        told = f"failed: {result.reason}" if result.reason else f"{result.num_snippets} snippets"
        typer.echo(f"[{len(done) + len(results)}/{len(videos)}] {result.video_id}: {told}")
    failed = sorted((r for r in results if r.reason), key=lambda r: r.video_id)
    typer.echo(f"{len(videos) - len(failed)} of {len(videos)} videos have features, {len(failed)} failed")
    for result in failed:
        typer.echo(f"  {result.video_id}: {result.reason}")
    return failed
