"""Action proposal generator (3.3.1): offsets of every anchor from features of its snippets.

Letters: B videos, C channels, W width, M anchors, T snippets, P parts of an anchor.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from trainables.layers.anchors import anchor_samples
from trainables.layers.norms import Norm, make_norm

#: Negative slope of the rectifier, zhengshou/AutoLoc:exp/TH14/train.tpl.
SLOPE = 0.1


class ProposalGenerator(nn.Module):
    """Temporal convolutions, and offsets of every anchor from them.

    Args:
        feat_dim: C.
        width: W.
        layers: convolutions.
        norm: after each.
        anchors: M lengths in snippets.
        parts: P samples of an anchor (component C4), None = its centre alone.
    """

    def __init__(
        self, *, feat_dim: int, width: int, layers: int, norm: Norm, anchors: tuple[int, ...], parts: int | None
    ) -> None:
        super().__init__()
        sizes = [feat_dim] + [width] * layers
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1, bias=norm == "none") for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(make_norm(norm, width) for _ in self.convs)
        self._anchors, self._parts = anchors, parts
        # with samples one kernel runs along them, whatever the anchor; without, every anchor has its own
        self.output = nn.Conv1d(width, 2 * len(anchors), 1) if parts is None else nn.Conv1d(width, 2, parts)
        self._initialise()

    def _initialise(self) -> None:
        for conv in self.convs:
            assert isinstance(conv, nn.Conv1d), "as made above"
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        # segments start as their anchors
        nn.init.normal_(self.output.weight, std=0.01)
        assert self.output.bias is not None, "a convolution with bias"
        nn.init.zeros_(self.output.bias)

    def forward(self, feats: Tensor, valid_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Trunk features (B, W, T) and offsets (B, 2, M, T); padding influences nothing."""
        mask = valid_mask[:, None]
        x = feats * mask
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nn.functional.leaky_relu(norm(conv(x), valid_mask), SLOPE) * mask
        if self._parts is None:
            return x, self.output(x).unflatten(1, (2, -1))
        index = anchor_samples(
            self._anchors, valid_mask.sum(dim=1), x.shape[2], self._parts, random=self.training
        )  # (B, P, M, T)
        return x, self._along_anchors(x, index)

    def _along_anchors(self, trunk: Tensor, index: Tensor) -> Tensor:
        """The output convolution on the samples of every anchor.

        It is linear, so each of its P columns is applied to all snippets once and the results are gathered, instead of
        gathering W channels for every anchor.
        """
        assert self.output.bias is not None, "a convolution with bias"
        columns = torch.einsum("bct,ocp->bopt", trunk, self.output.weight)
        flat = index.flatten(2)[:, None].expand(-1, 2, -1, -1)  # (B, 2, P, M T)
        gathered = columns.gather(3, flat).sum(dim=2)
        return gathered.reshape(len(trunk), 2, *index.shape[2:]) + self.output.bias[:, None, None]
