"""From stored logits of inputs to frame scores of whole videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.detections import FloatArray, FrameScores
from trainables.records import RawOutput
from trainables.segments import grid_to_seconds

#: Probabilities are kept so far from 0 and 1 when they are made logits again.
_EDGE = 1e-12


def frame_scores(raw: Sequence[RawOutput]) -> FrameScores:
    """Logits at the samples of every video, whose times are the middles of what they cover.

    A sample that several windows show has the logit of the mean of its probabilities.

    Args:
        raw: tensor ``frame_logits`` (T, K), the first ``num_samples`` rows real; the windows of a video share a grid.

    Returns:
        Videos in the order of their first input.

    Raises:
        ValueError: the windows of a video lie on different grids, or leave samples between them without scores.
    """
    by_video: dict[str, list[RawOutput]] = {}
    for one in raw:
        by_video.setdefault(one.video_id, []).append(one)
    parts = [_one_video(video_id, own) for video_id, own in by_video.items()]
    return FrameScores(
        video_ids=tuple(by_video),
        first_frame=np.cumsum([0, *(len(times) for _, times in parts)]),
        scores=np.concatenate([scores for scores, _ in parts]),
        times_s=np.concatenate([times for _, times in parts]),
    )


def _one_video(video_id: str, inputs: Sequence[RawOutput]) -> tuple[FloatArray, FloatArray]:
    """(n, K) logits and (n,) seconds."""
    start, step = min(one.start_s for one in inputs), inputs[0].seconds_per_sample
    logits = [one.tensors["frame_logits"][: one.num_samples].double().numpy() for one in inputs]
    offsets = np.asarray([(one.start_s - start) / step for one in inputs])
    first = np.rint(offsets).astype(np.int64)
    steps = np.asarray([one.seconds_per_sample for one in inputs])
    if not np.allclose(offsets, first, atol=1e-3) or not np.allclose(steps, step, rtol=1e-6):
        raise ValueError(f"frame scores: the windows of video '{video_id}' do not lie on one grid of samples")
    rows = np.concatenate([at + np.arange(len(part)) for at, part in zip(first, logits, strict=True)])
    values = np.concatenate(logits)
    shown = np.bincount(rows)
    if (shown == 0).any():
        raise ValueError(
            f"frame scores: no window shows sample {int(np.flatnonzero(shown == 0)[0])} of video '{video_id}' "
            f"({int((shown == 0).sum())} such samples); lower the stride of the windows at test"
        )
    times: FloatArray = grid_to_seconds(np.arange(len(shown)) + 0.5, start_s=start, seconds_per_sample=step)
    total = np.zeros((len(shown), values.shape[1]))
    np.add.at(total, rows, np.exp(-np.logaddexp(0.0, -values)))
    probs: FloatArray = np.clip(total / shown[:, None], _EDGE, 1 - _EDGE)
    merged: FloatArray = np.log(probs / (1 - probs))
    alone = shown[rows] == 1
    merged[rows[alone]] = values[alone]
    return merged, times
