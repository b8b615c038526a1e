"""Annotations and feature files into a store: one video in memory at a time, everything or nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from trainables.data.annotations import AnnotatedVideo, AnnotationSet
from trainables.data.feature_files.layout import join_streams
from trainables.data.feature_files.locate import FeatureFiles, Located, locate, read_features
from trainables.data.feature_files.timing import SnippetTiming, exact_rate
from trainables.data.features.store import FeatureStore, write_store
from trainables.data.schema import Features, Video
from trainables.data.splits import Splits

Missing = Literal["refuse", "exclude"]


@dataclass(frozen=True)
class ImportSettings:
    """How feature files are understood.

    Attributes:
        streams: in the order of their channels in the store (RGB, then flow).
        timing: windows of the extractor; None = the features of a video are spread evenly over its duration, as those
            rescaled to a fixed number are.
        missing: what a video of the annotation without features is: an error, or left out and listed in the store.
        length_tolerance: most snippets by which two streams of a video may differ; they are cut to the shorter.
        duration_tolerance: how far the end of the last window may be from the end of the annotated video, as a share
            of its duration (one window and one stride more are always allowed): beyond it the frame rate or the stride
            is wrong, and with it every time.

    Raises:
        ValueError: no stream, or a tolerance that is negative.
    """

    streams: tuple[FeatureFiles, ...]
    timing: SnippetTiming | None
    missing: Missing = "refuse"
    length_tolerance: int = 0
    duration_tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not self.streams:
            raise ValueError("streams: a store needs at least one stream of features")
        if self.missing not in get_args(Missing):
            raise ValueError(f"missing: '{self.missing}' is none of {', '.join(get_args(Missing))}")
        for name in ("length_tolerance", "duration_tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: {getattr(self, name)} must be 0 or more")


def import_features(folder: Path, annotations: AnnotationSet, splits: Splits, settings: ImportSettings) -> FeatureStore:
    """Build a store.

    Args:
        folder: of the new store; must not exist.
        annotations: videos, classes and segments.
        splits: stored with the data; a video without a split is left out and listed in the store.
        settings: see there.

    Returns:
        The store, opened. Its manifest says what it was made from, which videos were left out and why, how many
        snippets were cut from streams of unequal length, and how many feature files no video asked for.

    Raises:
        FileNotFoundError: a folder or file of features is not there.
        FileExistsError: the store is there already.
        ValueError: videos without features, features that cannot be read, are not finite or do not fit the annotation;
            nothing is left behind.
    """
    by_video = splits.by_video()
    plan = _plan(annotations, by_video, settings)
    cuts: dict[str, int] = {}
    builder = {
        "name": "import",
        "version": 1,
        "annotations": annotations.format,
        "splits": splits.to_manifest(),
        "faults": [asdict(fault) for fault in annotations.faults],
        "streams": [_describe(stream) for stream in settings.streams],
        "timing": _describe_timing(settings.timing),
        "unused_features": plan.unused,
        "cut_snippets": cuts,  # filled while the videos pass
    }
    write_store(
        folder,
        _videos(plan, by_video, settings, cuts),
        annotations.class_names,
        builder,
        offset_snippets=settings.timing.offset_snippets if settings.timing else 0.0,
        excluded=plan.excluded,
    )
    return FeatureStore(folder)


@dataclass(frozen=True)
class _Plan:
    """What will be read, known before anything is."""

    videos: list[AnnotatedVideo]
    located: list[Located]
    excluded: dict[str, str] = field(default_factory=dict)

    @property
    def unused(self) -> int:
        return sum(found.unused for found in self.located)


def _plan(annotations: AnnotationSet, splits: Mapping[str, str], settings: ImportSettings) -> _Plan:
    """Find every file and settle every rate before the work starts."""
    ids = [video.video_id for video in annotations.videos]
    twice = sorted(video_id for video_id, count in Counter(ids).items() if count > 1)
    if twice:
        raise ValueError(f"annotations: video '{twice[0]}' is there {ids.count(twice[0])} times")
    _check_known(splits, set(ids))
    located = [locate(stream, [v for v in ids if v in splits]) for stream in settings.streams]
    excluded = {video_id: "no split" for video_id in ids if video_id not in splits}
    for stream, found in zip(settings.streams, located, strict=True):
        for video_id in splits:
            if video_id not in found.places:
                excluded.setdefault(video_id, f"no features in {stream.path.name}")
    missing = [video_id for video_id in splits if video_id in excluded]
    if missing and settings.missing == "refuse":
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise ValueError(
            f"{len(missing)} of {len(splits)} videos have no features ({shown}), looked for "
            f"{' and '.join(f'{s.name} in {s.path}' for s in settings.streams)}; add them, or leave the videos out and "
            "have them listed in the store"
        )
    videos = [video for video in annotations.videos if video.video_id not in excluded]
    for video in videos:
        _check_times(video, settings.timing)
    return _Plan(videos, located, excluded)


def _check_known(splits: Mapping[str, str], known: set[str]) -> None:
    for video_id in splits:
        if video_id not in known:
            raise ValueError(f"splits: video '{video_id}' is not in the annotations")


def _check_times(video: AnnotatedVideo, timing: SnippetTiming | None) -> None:
    if timing is None and video.duration_s is None:
        raise ValueError(f"video '{video.video_id}': no duration over which its features could be spread")
    if timing is not None and timing.fps is None and video.fps is None:
        raise ValueError(f"video '{video.video_id}': no frame rate in the annotation; give the features' own")


def _videos(plan: _Plan, splits: Mapping[str, str], settings: ImportSettings, cuts: dict[str, int]) -> Iterator[Video]:
    """One video after another; ``cuts`` receives the snippets lost to unequal streams."""
    names = [stream.path.name for stream in settings.streams]
    for video in plan.videos:
        where = f"video '{video.video_id}'"
        parts = [
            read_features(stream, found.places[video.video_id])
            for stream, found in zip(settings.streams, plan.located, strict=True)
        ]
        features = join_streams(parts, names, where=where, tolerance=settings.length_tolerance)
        lost = max(map(len, parts)) - len(features)
        if lost:
            cuts[video.video_id] = lost
        yield _video(video, splits[video.video_id], features, settings)


def _video(video: AnnotatedVideo, split: str, features: Features, settings: ImportSettings) -> Video:
    timing = settings.timing
    fps = None if video.fps is None else exact_rate(video.fps)
    if timing is None:
        assert video.duration_s is not None, "checked before"
        snippet_seconds, duration_s = float(Fraction(video.duration_s) / len(features)), video.duration_s
    else:
        fps = timing.fps or fps
        assert fps is not None, "checked before"
        snippet_seconds = timing.snippet_seconds(fps)
        end_s = timing.end_s(len(features), fps)
        duration_s = end_s if video.duration_s is None else video.duration_s
        slack_s = settings.duration_tolerance * duration_s + float((timing.len_frames + timing.stride_frames) / fps)
        if abs(end_s - duration_s) > slack_s:
            raise ValueError(
                f"video '{video.video_id}': {len(features)} windows of {timing.len_frames} frames every "
                f"{timing.stride_frames} at {float(fps):g} fps end at {end_s:.2f} s, the annotated video at "
                f"{duration_s:.2f} s; the stride or the rate is wrong, or raise duration_tolerance"
            )
    return Video(
        video_id=video.video_id,
        subset=video.subset,
        split=split,
        snippet_seconds=snippet_seconds,
        features=features,
        segments=video.segments,
        fps=None if fps is None else float(fps),
        annotated_duration_s=duration_s,
    )


def _describe(stream: FeatureFiles) -> dict[str, Any]:
    """A stream without the place it had on this machine."""
    return {
        "source": stream.path.name,
        "name": stream.name,
        "key": stream.key,
        "layout": stream.layout,
        "channels": stream.channels,
    }


def _describe_timing(timing: SnippetTiming | None) -> dict[str, Any] | None:
    if timing is None:
        return None
    return {**asdict(timing), "fps": None if timing.fps is None else str(timing.fps)}
