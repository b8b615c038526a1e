"""One stage of detection: proposals talk to each other, then each to the features of its own segment.

Letters: B inputs, N proposals, D width, P positions of a segment, K classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.detectors.sp_tad.settings import Head
from trainables.layers.offsets import decode_centre_length

#: The regression gives twice the shift of the centre in lengths, and the logarithm of the ratio of lengths.
OFFSET_WEIGHTS = (2.0, 1.0)
MAX_LOG_RATIO = math.log(100000 / 16)

#: What classifiers answer at the beginning.
PRIOR_PROB = 0.01
CLASS_BIAS = -math.log((1 - PRIOR_PROB) / PRIOR_PROB)


def decode(segments: Tensor, offsets: Tensor) -> Tensor:
    """Segments (..., 2) moved by what the regression says; never reversed."""
    shift, log_ratio = offsets.unbind(-1)
    shift, log_ratio = shift / OFFSET_WEIGHTS[0], (log_ratio / OFFSET_WEIGHTS[1]).clamp(max=MAX_LOG_RATIO)
    return decode_centre_length(segments, torch.stack([shift, log_ratio], dim=-1))


class DynamicInteraction(nn.Module):
    """Two products of a segment's features with matrices that its proposal brings along.

    Source: PeizeSun/SparseR-CNN:projects/SparseRCNN/sparsercnn/head.py, ``DynamicConv``, in one dimension.

    Args:
        width: D.
        dim_dynamic: inner width.
        resolution: P.
    """

    def __init__(self, *, width: int, dim_dynamic: int, resolution: int) -> None:
        super().__init__()
        self._inner = dim_dynamic
        self.parameters_of = nn.Linear(width, 2 * width * dim_dynamic)
        self.norm_inner = nn.LayerNorm(dim_dynamic)
        self.norm_outer = nn.LayerNorm(width)
        self.condense = nn.Sequential(nn.Linear(resolution * width, width), nn.LayerNorm(width), nn.ReLU())

    def forward(self, proposals: Tensor, soi: Tensor) -> Tensor:
        """(R, D) from proposal features (R, D) and features of their segments (R, P, D)."""
        first, second = self.parameters_of(proposals).chunk(2, dim=1)
        width = soi.shape[2]
        z = torch.relu(self.norm_inner(soi @ first.reshape(-1, width, self._inner)))
        z = torch.relu(self.norm_outer(z @ second.reshape(-1, self._inner, width)))
        found: Tensor = self.condense(z.flatten(1))
        return found


class Stage(nn.Module):
    """Attention among proposals, dynamic interaction, feed-forward layers; then class logits and a better segment.

    Source: 3.1.3; layers and their order: PeizeSun/SparseR-CNN:projects/SparseRCNN/sparsercnn/head.py, ``RCNNHead``.
    The class bias is set by name; there every tensor with a last axis as long as the number of classes gets it.

    Args:
        width: D.
        resolution: P.
        num_classes: K.
        head: sizes.
    """

    def __init__(self, *, width: int, resolution: int, num_classes: int, head: Head) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, head.attention_heads, dropout=head.dropout, batch_first=True)
        self.interaction = DynamicInteraction(width=width, dim_dynamic=head.dim_dynamic, resolution=resolution)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, head.ffn), nn.ReLU(), nn.Dropout(head.dropout), nn.Linear(head.ffn, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(head.dropout)
        logits = nn.Linear(width, num_classes)
        self.classify = nn.Sequential(*_layers(width, head.num_cls_fc), logits)
        self.regress = nn.Sequential(*_layers(width, head.num_reg_fc), nn.Linear(width, 2))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.constant_(logits.bias, CLASS_BIAS)

    def forward(self, soi: Tensor, proposals: Tensor, segments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Refine proposals.

        Args:
            soi: (B, N, P, D) features of the segments.
            proposals: (B, N, D).
            segments: (B, N, 2) start, end.

        Returns:
            (B, N, K) logits, (B, N, 2) segments, (B, N, D) features, which the next stage takes for proposals.
        """
        attended = self.attention(proposals, proposals, proposals, need_weights=False)[0]
        x = self.norms[0](proposals + self.dropout(attended))
        met = self.interaction(x.flatten(0, 1), soi.flatten(0, 1)).reshape_as(x)
        x = self.norms[1](x + self.dropout(met))
        x = self.norms[2](x + self.dropout(self.feed_forward(x)))
        return self.classify(x), decode(segments, self.regress(x)), x


def _layers(width: int, count: int) -> list[nn.Module]:
    blocks = [(nn.Linear(width, width, bias=False), nn.LayerNorm(width), nn.ReLU()) for _ in range(count)]
    return [layer for block in blocks for layer in block]
