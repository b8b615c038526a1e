"""Untrimmed videos stitched from real trimmed ones: mp4 files, and annotations that are exact to the frame.

The plan - which clips, where - is :mod:`trainables.data.stitched.plan`'s, with one snippet a frame. On top of it, some
actions may be joined by an action of another class, shown beside or through it, for multi-label detection.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trainables.data.frames.folder import ANNOTATIONS_NAME, VIDEOS_NAME
from trainables.data.schema import SPLITS, TRIMMED, Segment
from trainables.data.stitched.plan import Piece, PlannedVideo, Pool, StitchSettings, deal_clips, plan_videos
from trainables.data.stitched.video_clips import ClipReader, VideoClip, find_clips
from trainables.data.video.decoders import Frames, decoder_versions
from trainables.data.video.encode import encoder_name, write_mp4
from trainables.data.video.files import file_digest
from trainables.data.video.reader import VideoReader
from trainables.data.video.sampling import as_rate
from trainables.segments import snippets_to_seconds

BUILDER_NAME = "builder.json"


@dataclass(frozen=True)
class VideoStitchSettings:
    """What the videos are like.

    Attributes:
        plan: which clips and where; its snippets are frames, its ``snippet_seconds`` is 1 / fps.
        fps: frames per second of the result; clips are resampled to it.
        height: rows, even.
        width: columns, even.
        overlap: share of the actions that another class's action joins.
        overlap_style: both in one picture, half and half, or blended.
        trimmed: also write the training split's clips of the action classes, each a video that its action fills.
    """

    plan: StitchSettings
    fps: Fraction
    height: int = 240
    width: int = 320
    overlap: float = 0.0
    overlap_style: Literal["side_by_side", "blend"] = "side_by_side"
    trimmed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 1:
            raise ValueError(f"overlap: {self.overlap} must be from 0 to 1")
        if self.overlap_style not in ("side_by_side", "blend"):
            raise ValueError(f"overlap_style: '{self.overlap_style}' is neither side_by_side nor blend")
        if self.height < 2 or self.width < 4 or self.height % 2 or self.width % 4:
            raise ValueError(f"size {self.height} x {self.width}: height must be even, width a multiple of 4")
        if self.plan.snippet_seconds != float(1 / self.fps):
            raise ValueError(
                f"plan.snippet_seconds: {self.plan.snippet_seconds} must be 1 / fps = {float(1 / self.fps)}"
            )


def frame_plan(fps: float | Fraction, **settings: Any) -> tuple[StitchSettings, Fraction]:
    """A plan in frames, and the exact rate: arguments as of ``StitchSettings``, without ``snippet_seconds``."""
    rate = as_rate(fps)
    return StitchSettings(**settings, snippet_seconds=float(1 / rate), standardise=False), rate


@dataclass(frozen=True)
class Overlay:
    """A second action over a part of a video.

    Attributes:
        clip: what is shown, from its beginning.
        label: its class id.
        start_frame: first frame of the video.
        end_frame: frame after the last one.
    """

    clip: VideoClip
    label: int
    start_frame: int
    end_frame: int


@dataclass(frozen=True)
class StitchedVideo:
    """One video that was written.

    Attributes:
        video_id: also the name of its file, without ending.
        split: train, select or test.
        num_frames: N.
        segments: actions in seconds, by start; they overlap where there are overlays.
        clips: names of the clips it is made of, overlays last.
    """

    video_id: str
    split: str
    num_frames: int
    segments: tuple[Segment, ...]
    clips: tuple[str, ...]


def stitch_videos(
    clips: Path, out: Path, settings: VideoStitchSettings, reader: VideoReader
) -> tuple[list[StitchedVideo], list[str]]:
    """Draw and encode the videos, and write ``annotations.json`` (ActivityNet's form) and ``builder.json``.

    The folder appears whole or not at all. Plan, annotations and frames before encoding depend on the clips, the
    settings and the decoders alone; the files' bytes also on the version of the encoder, which is written down.

    Args:
        clips: folder of ``<class>/<video>``.
        out: folder to make; must not exist.
        settings: see there.
        reader: decodes the clips.

    Returns:
        The videos, and the names of the action classes.

    Raises:
        VideoError: a clip cannot be read.
        ValueError: too few classes or clips, or too little room, for the settings.
        FileExistsError: ``out`` is there already.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another folder, or remove it")
    found = find_clips(clips, reader, fps=settings.fps, max_frames=settings.plan.max_snippets)
    pools, names = deal_clips(found, settings.plan)
    if settings.overlap and len(names) < 2:
        raise ValueError(f"overlap: {settings.overlap} needs two action classes, there is '{names[0]}' alone")
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.partial")
    (scratch / VIDEOS_NAME).mkdir(parents=True)
    try:
        videos, clip_reader = [], ClipReader(reader, settings.height, settings.width)
        for number, plan in enumerate(plan_videos(pools, settings.plan)):
            overlays = draw_overlays(plan, pools[plan.split], settings, number)
            file = scratch / VIDEOS_NAME / f"{plan.video_id}.mp4"
            frames = compose(plan, overlays, settings.overlap_style, clip_reader)
            write_mp4(file, frames, fps=settings.fps, height=settings.height, width=settings.width)
            videos.append(_describe(plan, overlays, settings.plan.snippet_seconds))
        _write_json(scratch / ANNOTATIONS_NAME, activitynet_annotations(videos, names, settings))
        if settings.trimmed:
            _write_trimmed(scratch / TRIMMED, pools["train"], names, settings, clip_reader)
        _write_json(scratch / BUILDER_NAME, _builder(found, videos, settings, clip_reader))
        scratch.rename(out)
    except BaseException:
        shutil.rmtree(scratch)
        raise
    return videos, names


def _write_trimmed(
    folder: Path, pool: Pool[VideoClip], names: Sequence[str], settings: VideoStitchSettings, reader: ClipReader
) -> None:
    """Clips of the action classes, of the same size and rate as the videos."""
    (folder / VIDEOS_NAME).mkdir(parents=True)
    pieces = [Piece(clip, label) for label, own in enumerate(pool.actions) for clip in own]
    plans = [PlannedVideo(f"clip_{number:05d}", "train", (piece,)) for number, piece in enumerate(pieces)]
    for plan in plans:
        file = folder / VIDEOS_NAME / f"{plan.video_id}.mp4"
        frames = compose(plan, [], settings.overlap_style, reader)
        write_mp4(file, frames, fps=settings.fps, height=settings.height, width=settings.width)
    videos = [_describe(plan, [], settings.plan.snippet_seconds) for plan in plans]
    _write_json(folder / ANNOTATIONS_NAME, activitynet_annotations(videos, names, settings))


def draw_overlays(
    plan: PlannedVideo[VideoClip], pool: Pool[VideoClip], settings: VideoStitchSettings, number: int
) -> list[Overlay]:
    """Second actions: each begins within an action of another class, and ends before the next action begins.

    Args:
        plan: the video.
        pool: clips of its split.
        settings: ``overlap`` and ``plan.seed`` decide.
        number: of the video among all; with the seed, the only source of randomness.

    Returns:
        By start; no two at the same time.
    """
    generator = np.random.Generator(np.random.PCG64([6, settings.plan.seed, SPLITS.index(plan.split), number]))
    spans = plan.spans()
    limits = [start for start, _, _ in spans[1:]] + [plan.num_snippets]
    overlays = []
    for (start, end, label), limit in zip(spans, limits, strict=True):
        if generator.random() >= settings.overlap:
            continue
        other = int(generator.choice([k for k in range(len(pool.actions)) if k != label]))
        clip = pool.actions[other][int(generator.integers(len(pool.actions[other])))]
        begin = int(generator.integers(start, end))
        overlays.append(Overlay(clip, other, begin, min(begin + len(clip), limit)))
    return overlays


def compose(
    plan: PlannedVideo[VideoClip], overlays: Sequence[Overlay], overlap_style: str, clips: ClipReader
) -> Iterator[Frames]:
    """The video's frames one after another; a clip at a time is in memory, and an overlay."""
    waiting = list(overlays)
    over: Frames | None = None
    number = 0
    for piece in plan.pieces:
        for frame in clips.read(piece.clip):
            if waiting and number == waiting[0].end_frame:
                waiting.pop(0)
                over = None
            if waiting and number == waiting[0].start_frame:
                over = clips.read(waiting[0].clip)
            yield frame if over is None else join(frame, over[number - waiting[0].start_frame], overlap_style)
            number += 1


def join(first: Frames, second: Frames, style: str) -> Frames:
    """Two (H, W, 3) pictures in one: the middle halves of both side by side, or their mean."""
    if style == "blend":
        mean = (first.astype(np.uint16) + second + 1) // 2
        return mean.astype(np.uint8)
    quarter = first.shape[1] // 4
    return np.concatenate([first[:, quarter : 3 * quarter], second[:, quarter : 3 * quarter]], axis=1)


def activitynet_annotations(
    videos: Sequence[StitchedVideo], class_names: Sequence[str], settings: VideoStitchSettings
) -> dict[str, Any]:
    """ActivityNet's ground-truth form; ``subset`` is the split."""
    database = {
        video.video_id: {
            "subset": video.split,
            "duration": float(snippets_to_seconds(video.num_frames, settings.plan.snippet_seconds)),
            "fps": float(settings.fps),
            "resolution": f"{settings.width}x{settings.height}",
            "url": "",
            "annotations": [
                {"segment": [segment.start_s, segment.end_s], "label": class_names[segment.label]}
                for segment in video.segments
            ],
        }
        for video in videos
    }
    return {"version": "stitched 1", "taxonomy": [], "database": database}


def _describe(plan: PlannedVideo[VideoClip], overlays: Sequence[Overlay], frame_s: float) -> StitchedVideo:
    segments = list(plan.segments(frame_s))
    for overlay in overlays:
        start_s, end_s = snippets_to_seconds([overlay.start_frame, overlay.end_frame], frame_s).tolist()
        segments.append(Segment(start_s, end_s, overlay.label))
    segments.sort(key=lambda segment: (segment.start_s, segment.end_s, segment.label))
    names = [piece.clip.name for piece in plan.pieces] + [overlay.clip.name for overlay in overlays]
    return StitchedVideo(plan.video_id, plan.split, plan.num_snippets, tuple(segments), tuple(names))


def _builder(
    clips: Sequence[VideoClip], videos: Sequence[StitchedVideo], settings: VideoStitchSettings, clip_reader: ClipReader
) -> dict[str, Any]:
    """How the data set came about; clips that no video needed have no decoder."""
    return {
        "name": "stitched_videos",
        "version": 1,
        **asdict(settings),
        "fps": [settings.fps.numerator, settings.fps.denominator],
        "encoder": encoder_name(),
        "packages": decoder_versions(),
        "clips": {
            clip.name: {
                "sha256": file_digest(clip.file),
                "decoders": [use._asdict() for use in clip_reader.decoders.get(clip.name, ())],
            }
            for clip in clips
        },
        "videos": {video.video_id: list(video.clips) for video in videos},
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + os.linesep, encoding="utf-8")
