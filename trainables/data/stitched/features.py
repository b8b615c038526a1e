"""Joining features of trimmed clips into untrimmed videos with exactly known boundaries, as planned by
:mod:`trainables.data.stitched.plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from trainables.data.schema import Video
from trainables.data.stitched.feature_clips import Clip, clips_digest
from trainables.data.stitched.plan import (
    Piece,
    PlannedVideo,
    Pool,
    StitchSettings,
    choose_classes,
    deal_clips,
    plan_videos,
)

__all__ = ["StitchSettings", "choose_classes", "stitch", "trimmed_clips"]


def stitch(clips: Sequence[Clip], settings: StitchSettings) -> tuple[list[Video], list[str], dict[str, object]]:
    """Draw the videos.

    Args:
        clips: from :func:`trainables.data.stitched.feature_clips.read_clips`.
        settings: see there.

    Returns:
        Videos, names of the action classes, and what to write into the manifest.

    Raises:
        ValueError: too few classes, clips or snippets for the settings; what is missing is named.
    """
    pools, names = _pools(clips, settings)
    builder = {"name": "stitched", "version": 1, **asdict(settings), "clips_digest": clips_digest(clips)}
    return [_video(plan, settings.snippet_seconds) for plan in plan_videos(pools, settings)], names, builder


def trimmed_clips(clips: Sequence[Clip], settings: StitchSettings) -> Iterator[Video]:
    """The training split's clips of the action classes, each a video that its action fills.

    Args:
        clips: as for :func:`stitch`.
        settings: as for :func:`stitch`.

    Raises:
        ValueError: as :func:`stitch`.
    """
    pool = _pools(clips, settings)[0]["train"]
    for label, own in enumerate(pool.actions):
        for clip in own:
            yield _video(PlannedVideo(clip.name, "train", (Piece(clip, label),)), settings.snippet_seconds)


def _pools(clips: Sequence[Clip], settings: StitchSettings) -> tuple[dict[str, Pool[Clip]], list[str]]:
    """What each split's videos are drawn from, and the names of the action classes."""
    cut = [Clip(clip.name, clip.label, clip.features[: settings.max_snippets]) for clip in clips]
    pools, names = deal_clips(cut, settings)
    if settings.standardise:
        pools = _standardised(pools)
    return pools, names


def _standardised(pools: Mapping[str, Pool[Clip]]) -> dict[str, Pool[Clip]]:
    """Clips with the channel statistics of the training split taken out; select and test lend none."""
    train = pools["train"]
    values = np.concatenate([clip.features for own in (*train.actions, train.background) for clip in own])
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-3

    def change(clips: Sequence[Clip]) -> tuple[Clip, ...]:
        return tuple(Clip(c.name, c.label, ((c.features - mean) / deviation).astype(np.float32)) for c in clips)

    return {split: Pool(tuple(map(change, p.actions)), change(p.background)) for split, p in pools.items()}


def _video(plan: PlannedVideo[Clip], snippet_seconds: float) -> Video:
    return Video(
        video_id=plan.video_id,
        subset=plan.subset,
        split=plan.split,
        snippet_seconds=snippet_seconds,
        features=np.concatenate([piece.clip.features for piece in plan.pieces]),
        segments=plan.segments(snippet_seconds),
        clips=tuple(piece.clip.name for piece in plan.pieces),
    )
