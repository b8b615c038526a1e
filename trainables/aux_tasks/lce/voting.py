"""Gaussians of regions as votes on where detections begin and end.

Letters: B inputs, R regions of all of them, D regions of the input that has most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.layers.variance_voting import variance_vote
from trainables.records import RawOutput

#: Names under which the votes are stored with the host's raw outputs.
_SEGMENTS, _SIGMAS, _LABELS = "lce_segments", "lce_sigmas", "lce_labels"


def stored_voters(
    input_index: Tensor, segments: Tensor, sigmas: Tensor, labels: Tensor, *, num_inputs: int
) -> Mapping[str, Tensor]:
    """Votes by input, padded with empty segments, which no detection overlaps.

    Args:
        input_index: (R,) input of each region.
        segments: (R, 2) predicted start, end in temporal samples.
        sigmas: (R, 2) their deviations, samples.
        labels: (R,) class ids.
        num_inputs: B.

    Returns:
        name -> (B, D, ...) tensors.
    """
    order = torch.argsort(input_index, stable=True)
    counts = torch.bincount(input_index, minlength=num_inputs)
    first = torch.cumsum(counts, 0) - counts
    rows = input_index[order]
    slot = torch.arange(len(order), device=order.device) - first[rows]
    shape = (num_inputs, int(counts.max()) if len(order) else 0)
    padded = {
        _SEGMENTS: segments.new_zeros(*shape, 2),
        _SIGMAS: sigmas.new_ones(*shape, 2),
        _LABELS: labels.new_zeros(shape),
    }
    for name, values in ((_SEGMENTS, segments), (_SIGMAS, sigmas), (_LABELS, labels)):
        padded[name][rows, slot] = values[order]
    return padded


def voted_detections(detections: Detections, raw: Sequence[RawOutput], *, sigma_t: float) -> Detections:
    """Detections whose ends are the weighted means of the votes of their video and class, cut to the video.

    A region votes for its most likely action only; regions whose predicted segment is empty have no vote.

    Args:
        detections: of whole videos.
        raw: stored outputs of the same videos.
        sigma_t: see :func:`trainables.layers.variance_voting.variance_vote`.
    """
    place = {video_id: i for i, video_id in enumerate(detections.video_ids)}
    segments = [r.tensors[_SEGMENTS].double() * r.seconds_per_sample + r.start_s for r in raw]
    sigmas = [r.tensors[_SIGMAS].double() * r.seconds_per_sample for r in raw]
    labels = [r.tensors[_LABELS].long() for r in raw]
    num_classes = 1 + max([int(detections.labels.max(initial=0)), *(int(n.max()) for n in labels if len(n))])
    groups = [n + num_classes * place[r.video_id] for n, r in zip(labels, raw, strict=True)]
    votes = torch.cat([torch.zeros(0, 2).double(), *segments])
    real = votes[:, 1] > votes[:, 0]
    moved = variance_vote(
        torch.from_numpy(detections.segments_s),
        torch.from_numpy(detections.video * num_classes + detections.labels),
        votes[real],
        torch.cat([torch.zeros(0, 2).double(), *sigmas])[real],
        torch.cat([torch.zeros(0).long(), *groups])[real],
        sigma_t=sigma_t,
    ).numpy()
    limits = np.zeros(len(detections.video_ids))
    for r in raw:
        limits[place[r.video_id]] = r.duration_s
    cut = np.clip(moved, 0.0, limits[detections.video][:, None])
    sound = cut[:, 1] > cut[:, 0]
    return dataclasses.replace(detections, segments_s=np.where(sound[:, None], cut, detections.segments_s))
