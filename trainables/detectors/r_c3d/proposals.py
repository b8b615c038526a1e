"""Proposal subnet of R-C3D: scores and offsets of every anchor, and the segments it hands on.

Letters: B inputs, C channels, T cells, A anchor lengths, N = T A anchors, R proposals of all inputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.detectors.r_c3d.anchors import cut, half_open
from trainables.layers.nms import suppress
from trainables.layers.offsets import decode_centre_length


class ProposalSubnet(nn.Module):
    """One or two convolutions, the maximum over the image, then two classes and two offsets of every anchor.

    Source: VisionLearningGroup/R-C3D:experiments/{thumos14,activitynet}/train.prototxt.

    Args:
        channels: C of the map.
        width: of the convolutions.
        num_scales: A.
        double: two convolutions of spatial stride 2 in the place of one of stride 1.
        spatial: whether the map has height and width; without them the convolutions are temporal.
    """

    def __init__(self, *, channels: int, width: int, num_scales: int, double: bool, spatial: bool) -> None:
        super().__init__()
        image = 3 if spatial else 1
        stride = 2 if double and spatial else 1
        layers: list[nn.Module] = []
        for source in (channels, width)[: 2 if double else 1]:
            conv = nn.Conv3d(source, width, (3, image, image), (1, stride, stride), (1, image // 2, image // 2))
            layers += [_initialised(conv), nn.ReLU()]
        self.convs = nn.Sequential(*layers)
        self.scores = _initialised(nn.Conv1d(width, 2 * num_scales, 1))
        self.offsets = _initialised(nn.Conv1d(width, 2 * num_scales, 1))

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, T, h, w) -> (B, N, 2) logits of background and activity, (B, N, 2) offsets dc and dl."""
        rows = self.convs(shared).amax(dim=(3, 4))
        # channels of the scores: A times background, then A times activity; of the offsets: dc and dl by turns
        scores = self.scores(rows).unflatten(1, (2, -1)).permute(0, 3, 2, 1).flatten(1, 2)
        offsets = self.offsets(rows).unflatten(1, (-1, 2)).permute(0, 3, 1, 2).flatten(1, 2)
        return scores, offsets


def _initialised(layer: nn.Conv1d | nn.Conv3d) -> nn.Module:
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None, "made with one"
    nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def propose(
    scores: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    lengths: Tensor,
    *,
    min_samples: float,
    pre_nms: int,
    post_nms: int,
    tiou_threshold: float,
    inclusive: bool,
) -> Tensor:
    """The best segments of every input after suppression; no gradient reaches their ends.

    Args:
        scores: (B, N, 2) logits.
        offsets: (B, N, 2).
        anchors: (N, 2) in samples.
        lengths: (B,) real samples of the inputs; anchors whose centre lies behind them propose nothing.
        min_samples: shorter segments are dropped, after they were cut to the input.
        pre_nms: best segments of an input before suppression.
        post_nms: and after it.
        tiou_threshold: segments above it go.
        inclusive: see :mod:`trainables.detectors.r_c3d.anchors`.

    Returns:
        (R, 3) float64 input, start, end; inputs ascending, the best first.
    """
    segments = cut(decode_centre_length(anchors, offsets.double(), inclusive=inclusive), lengths, inclusive=inclusive)
    spans = half_open(segments, inclusive=inclusive)
    size = spans[..., 1] - spans[..., 0]
    usable = (anchors.mean(dim=1) < lengths[:, None]) & (size >= min_samples) & (size > 0)
    activity = scores.double().softmax(dim=-1)[..., 1].masked_fill(~usable, -1.0)
    best, order = activity.sort(dim=1, descending=True, stable=True)
    best, order = best[:, :pre_nms], order[:, :pre_nms]
    owner, place = torch.nonzero(best >= 0, as_tuple=True)
    row = order[owner, place]
    kept, _ = suppress(
        spans[owner, row],
        best[owner, place],
        owner,
        decay="hard",
        tiou_threshold=math.nextafter(tiou_threshold, math.inf),
        max_num=post_nms,
    )
    owner, row = owner[kept], row[kept]
    return torch.cat([owner[:, None].double(), segments[owner, row]], dim=1)
