"""Predicted videos beside annotated ones."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainables.detections import IntArray


def find_videos(
    found_ids: tuple[str, ...], truth_ids: tuple[str, ...], on_unknown_video: Literal["error", "drop"]
) -> tuple[IntArray, dict[str, int]]:
    """Where the ground truth's videos are among the predicted ones.

    Args:
        found_ids: predicted videos.
        truth_ids: V annotated videos.
        on_unknown_video: predicted videos that are not annotated.

    Returns:
        (V,) index into ``found_ids``, -1 = not predicted; counts of what is left out.

    Raises:
        ValueError: a video nobody annotated where those are refused, or not one video in common.
    """
    unknown = sorted(set(found_ids) - set(truth_ids))
    if unknown and (on_unknown_video == "error" or len(unknown) == len(found_ids)):
        way_out = "set on_unknown_video to drop" if len(unknown) < len(found_ids) else "are the ids of one kind?"
        raise ValueError(
            f"predictions: video '{unknown[0]}' is not in the ground truth ({len(unknown)} of {len(found_ids)} "
            f"videos); {way_out}"
        )
    place = {video_id: i for i, video_id in enumerate(found_ids)}
    index = np.asarray([place.get(video_id, -1) for video_id in truth_ids], np.int64)
    return index, {"unknown_videos_dropped": len(unknown)}
