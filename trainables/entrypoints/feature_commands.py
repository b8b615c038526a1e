"""``tadtune data import`` and ``tadtune data build simulated``. Heavy imports wait until a verb runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from trainables.entrypoints.failure import fail

if TYPE_CHECKING:
    from trainables.data.annotations import AnnotationSet
    from trainables.data.feature_files.locate import FeatureFiles
    from trainables.data.feature_files.timing import SnippetTiming
    from trainables.data.features.store import FeatureStore
    from trainables.data.splits import Splits

T = TypeVar("T")

_Annotations = Annotated[Path, typer.Option(help="File or folder of annotations.")]
_Format = Annotated[str, typer.Option(help="Format of the annotations; auto = recognised by content.")]
_Out = Annotated[Path, typer.Option(help="Folder of the new store.")]
_Train = Annotated[
    list[str] | None,
    typer.Option("--train", help="Subset of the annotations to train on; repeat it. THUMOS'14 needs none of these."),
]
_Test = Annotated[list[str] | None, typer.Option("--test", help="Subset to score at the end; repeat it.")]
_NumTest = Annotated[int | None, typer.Option(min=1, help="Videos to score, cut from all, instead of subsets.")]
_Select = Annotated[
    int | None, typer.Option(min=0, help="Videos cut from the training ones for search; THUMOS'14: 20, else 0.")
]
_Seed = Annotated[int, typer.Option(min=0, help="Of every draw.")]


def import_store(
    annotations: _Annotations,
    features: Annotated[
        list[Path],
        typer.Option(help="Folder with a file a video, or one file of all videos; repeat it for streams, in order."),
    ],
    out: _Out,
    train: _Train = None,
    test: _Test = None,
    num_test: _NumTest = None,
    format: _Format = "auto",
    select: _Select = None,
    seed: _Seed = 0,
    channels: Annotated[
        list[int] | None, typer.Option(min=1, help="Channels: one number, or one a stream; tells (T, C) from (C, T).")
    ] = None,
    layout: Annotated[
        list[str] | None, typer.Option(help="Order of the stored axes: tc or ct, one or one a stream.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name of a video's file or array, such as v_{video_id}; one or one a stream."),
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="Array within each file; one or one a stream.")] = None,
    cells: Annotated[
        Path | None, typer.Option(help="Text file: ids of the videos in a .mat file's cell array, one a line.")
    ] = None,
    len_frames: Annotated[int, typer.Option(min=1, help="Frames behind one feature.")] = 16,
    stride_frames: Annotated[
        int | None, typer.Option(min=1, help="Frames from one feature to the next; none = as many as are behind one.")
    ] = None,
    first_frame: Annotated[int, typer.Option(help="Where feature 0 begins; below 0 where the video was padded.")] = 0,
    fps: Annotated[
        str | None, typer.Option(help="Rate at which features were extracted, such as 30000/1001; none = annotated.")
    ] = None,
    even: Annotated[bool, typer.Option("--even", help="Features are spread evenly over the duration.")] = False,
    missing: Annotated[str, typer.Option(help="Videos without features: refuse, or exclude and list them.")] = "refuse",
    length_tolerance: Annotated[int, typer.Option(min=0, help="Snippets by which streams may differ.")] = 0,
    duration_tolerance: Annotated[
        float, typer.Option(min=0.0, help="Share of the duration by which the features' end may differ from it.")
    ] = 0.1,
) -> None:
    """Turn annotations and pre-extracted features into a store that a study names as its data set."""
    from trainables.data.feature_files.importing import ImportSettings, import_features

    try:
        settings = ImportSettings(
            streams=_streams(features, channels, layout, name, key, cells),
            timing=None if even else _timing(len_frames, stride_frames, first_frame, fps),
            missing=missing,  # type: ignore[arg-type]
            length_tolerance=length_tolerance,
            duration_tolerance=duration_tolerance,
        )
        read, splits = _annotated(annotations, format, train, test, num_test, select, seed)
        store = import_features(out, read, splits, settings)
    except (ValueError, OSError) as error:
        raise fail(error) from error
    _report(store)


def simulated(
    annotations: _Annotations,
    out: _Out,
    train: _Train = None,
    test: _Test = None,
    num_test: _NumTest = None,
    format: _Format = "auto",
    select: _Select = None,
    seed: _Seed = 0,
    snippet_seconds: Annotated[float, typer.Option(help="Seconds that a snippet covers.")] = 0.5,
    feat_dim: Annotated[int, typer.Option(min=4, help="Feature channels.")] = 64,
    core_fraction: Annotated[float, typer.Option(min=0.05, max=1.0, help="Share of an action that is its core.")] = 0.4,
    core_strength: Annotated[float, typer.Option(min=0.0, help="Evidence in the core.")] = 11.0,
    flank_strength: Annotated[float, typer.Option(min=0.0, help="Evidence in the rest of an action.")] = 4.0,
    context_confuser: Annotated[float, typer.Option(min=0.0, help="Evidence of a context two classes share.")] = 1.5,
    noise: Annotated[float, typer.Option(min=0.0, help="Standard deviation of each channel.")] = 1.0,
    confusable: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How far every second class looks like the one before it.")
    ] = 0.0,
    telling_context: Annotated[float, typer.Option(min=0.0, help="Evidence of a context of the class alone.")] = 0.0,
    boundary_blur: Annotated[float, typer.Option(min=0.0, help="Smoothing of the evidence in time, snippets.")] = 0.0,
    label_noise: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the training videos annotated with other classes.")
    ] = 0.0,
) -> None:
    """Give the real timelines of an annotation simulated features; never a result on the real data set."""
    from trainables.data.synthetic.evidence import Evidence
    from trainables.data.synthetic.simulated import Simulation, simulate

    try:
        evidence = Evidence(
            feat_dim=feat_dim,
            core_fraction=core_fraction,
            core_strength=core_strength,
            flank_strength=flank_strength,
            context_confuser=context_confuser,
            noise=noise,
            confusable=confusable,
            telling_context=telling_context,
            boundary_blur=boundary_blur,
        )
        read, splits = _annotated(annotations, format, train, test, num_test, select, seed)
        store = simulate(out, read, splits, Simulation(evidence, snippet_seconds, label_noise, seed))
    except (ValueError, OSError) as error:
        raise fail(error) from error
    _report(store)


def _annotated(
    path: Path,
    format: str,
    train: Sequence[str] | None,
    test: Sequence[str] | None,
    num_test: int | None,
    select: int | None,
    seed: int,
) -> tuple[AnnotationSet, Splits]:
    from trainables.data.readers import read_annotations
    from trainables.data.splits import cut

    read = read_annotations(path, format=format)
    return read, cut(read, train=train or (), test=test or (), num_select=select, num_test=num_test, seed=seed)


def _streams(
    features: Sequence[Path],
    channels: Sequence[int] | None,
    layout: Sequence[str] | None,
    name: Sequence[str] | None,
    key: Sequence[str] | None,
    cells: Path | None,
) -> tuple[FeatureFiles, ...]:
    from trainables.data.feature_files.locate import FeatureFiles

    ids = tuple(cells.read_text(encoding="utf-8").split()) if cells else ()
    options: dict[str, Sequence[Any]] = {
        "channels": _one_each("--channels", channels, len(features), None),
        "layout": _one_each("--layout", layout, len(features), None),
        "name": _one_each("--name", name, len(features), "{video_id}"),
        "key": _one_each("--key", key, len(features), None),
    }
    return tuple(
        FeatureFiles(path, cells=ids, **{option: values[i] for option, values in options.items()})
        for i, path in enumerate(features)
    )


def _one_each(option: str, values: Sequence[T] | None, count: int, default: T | None) -> Sequence[T | None]:
    """A value for each stream."""
    if not values:
        return [default] * count
    if len(values) not in (1, count):
        raise ValueError(f"{option}: {len(values)} values for {count} streams; give one, or one a stream")
    return list(values) * (count if len(values) == 1 else 1)


def _timing(len_frames: int, stride_frames: int | None, first_frame: int, fps: str | None) -> SnippetTiming:
    from trainables.data.feature_files.timing import SnippetTiming, exact_rate

    return SnippetTiming(len_frames, stride_frames or len_frames, exact_rate(fps) if fps else None, first_frame)


def _report(store: FeatureStore) -> None:
    """What is in the store, and everything that is not."""
    from trainables.data.schema import SPLITS

    splits = Counter(video["split"] for video in store.videos)
    typer.echo(f"{store.folder}: {', '.join(f'{splits[split]} {split}' for split in SPLITS)} videos")
    typer.echo(f"{store.feat_dim} channels, {len(store.class_names)} classes, {len(store.segments)} segments")
    for remark in store.remarks():
        typer.echo(remark)
    builder = store.manifest["builder"]
    for fault in builder["faults"]:
        typer.echo(f"annotations: {fault['rule']}: {fault['count']} {fault['action']}, the first: {fault['first']}")
    cut = builder.get("cut_snippets", {})
    if cut:
        typer.echo(f"streams of unequal length: {sum(cut.values())} snippets cut in {len(cut)} videos")
    if builder.get("unused_features"):
        typer.echo(f"feature files that no video asked for: {builder['unused_features']}")
