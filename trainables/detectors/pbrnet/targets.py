"""What the three steps learn: the instance that a segment stands for, and where frames start or end an action.

Letters: B inputs, N segments, G instances of the input that has most, F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trainables.layers.tiou import paired_tiou
from trainables.records import SegmentTargets

#: Label of a segment that takes no part.
LEFT_OUT = -1


@dataclass(frozen=True)
class Instances:
    """Annotated segments of a batch, padded.

    Attributes:
        segments: (B, G, 2) start, end in frames; zeros where there is none.
        labels: (B, G) int64 from 1; 0 where there is none.
    """

    segments: Tensor
    labels: Tensor


def instances_of(targets: Sequence[SegmentTargets], *, frames_per_sample: int) -> Instances:
    """The instances of a batch.

    Args:
        targets: of every input, in temporal samples.
        frames_per_sample: 1 for frames, 8 for features.
    """
    return Instances(
        pad_sequence([target.segments_grid * frames_per_sample for target in targets], batch_first=True),
        pad_sequence([target.labels + 1 for target in targets], batch_first=True),
    )


def assign(segments: Tensor, instances: Instances, threshold: float) -> tuple[Tensor, Tensor]:
    """The instance of highest tIoU of every segment; of equal ones the first.

    No instance is given a segment below the threshold, as in Qinying-Liu/PBRNet:network.py, ``match``.

    Args:
        segments: (B, N, 2) start, end in frames.
        instances: of the batch.
        threshold: a segment at it is background.

    Returns:
        (B, N) labels, 0 = background; (B, N, 2) the instances, zeros where the input has none.
    """
    if instances.labels.shape[1] == 0:
        return segments.new_zeros(segments.shape[:2], dtype=torch.long), torch.zeros_like(segments)
    tiou = paired_tiou(segments[:, :, None], instances.segments[:, None])  # (B, N, G)
    tiou = tiou.masked_fill(instances.labels[:, None] == 0, -1.0)
    best, index = tiou.max(dim=2)
    labels = instances.labels.gather(1, index).where(best > threshold, 0)
    matched = instances.segments.gather(1, index[..., None].expand(-1, -1, 2))
    return labels, matched


def boundary_labels(instances: Instances, num_frames: int, ratio: float) -> Tensor:
    """Frames near the start, and near the end, of an instance.

    Near is within ``ratio`` of the instance's length of the frame's centre. Source: Qinying-Liu/PBRNet:utils.py.
    Differs: the frame that holds the boundary is always near (there a short instance may have none).

    Args:
        instances: of the batch, cut to the clip.
        num_frames: F.
        ratio: share of the length.

    Returns:
        (B, 2, F) bool, start and end.
    """
    frame = torch.arange(num_frames, device=instances.segments.device)
    boundary = instances.segments.transpose(1, 2)[..., None]  # (B, 2, G, 1)
    length = (instances.segments[..., 1] - instances.segments[..., 0])[:, None, :, None]
    near = (frame + 0.5 - boundary).abs() <= ratio * length
    near |= frame == boundary.floor().clamp(0, num_frames - 1)
    return (near & (instances.labels > 0)[:, None, :, None]).any(dim=2)
