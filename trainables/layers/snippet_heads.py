"""Snippet classification and attention, and the video score they give (UntrimmedNet, CleanNet 3.2).

Letters: B videos, C channels, T snippets, R feature streams (appearance, motion), K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

ScpNorm = Literal["softmax", "sigmoid"]

#: Standard deviation of initial weights, wanglimin/UntrimmedNet:models/spatial_untrimmednet_soft_bn_inception_*.
INIT_STD = 0.001


@dataclass(frozen=True)
class SnippetEvidence:
    """What the heads say of a batch.

    Attributes:
        class_logits: (B, K, T) mean over the streams, unbounded.
        scp: (B, K, T) snippet-level classification prediction Psi in [0, 1], 0 at padding.
        attention_logits: (B, T) unbounded.
        video_probs: (B, K) Psi averaged with the attention over all valid snippets.
    """

    class_logits: Tensor
    scp: Tensor
    attention_logits: Tensor
    video_probs: Tensor


def join_streams(
    class_heads: Sequence[tuple[Tensor, Tensor]], attention_heads: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Heads of separate streams as heads on the concatenated features (CleanNet Eqs. 4 and 5).

    Args:
        class_heads: R pairs of weight (K, C_r) and bias (K,).
        attention_heads: R pairs of weight (1, C_r) and bias (1,).

    Returns:
        Class weight (R K, C), block-diagonal, and bias (R K,); attention weight (1, C) and bias (1,), which give the
        mean attention of the streams.
    """
    class_weight: Tensor = torch.block_diag(*(weight for weight, _ in class_heads))  # type: ignore[no-untyped-call]
    class_bias = torch.cat([bias for _, bias in class_heads])
    share = 1.0 / len(attention_heads)
    attention_weight = share * torch.cat([weight for weight, _ in attention_heads], dim=1)
    attention_bias = share * torch.stack([bias for _, bias in attention_heads]).sum(dim=0)
    return class_weight, class_bias, attention_weight, attention_bias


def normalise_scp(logits: Tensor, valid_mask: Tensor, how: ScpNorm) -> Tensor:
    """Psi: the mean over the streams of their class scores, as wanglimin/UntrimmedNet:matlab/thumos_detection.m has it.

    Args:
        logits: (B, R, K, T).
        valid_mask: (B, T).
        how: "softmax" over the classes of a snippet, or "sigmoid" of each.

    Returns:
        (B, K, T), 0 at padding.
    """
    each = torch.softmax(logits, dim=2) if how == "softmax" else torch.sigmoid(logits)
    return each.mean(dim=1) * valid_mask[:, None]


def attention_weights(attention_logits: Tensor, among: Tensor) -> Tensor:
    """phi: softmax over the snippets of ``among``, 0 elsewhere.

    Args:
        attention_logits: (B, T).
        among: (B, T) bool, at least one True in a row.
    """
    return torch.softmax(attention_logits.masked_fill(~among, float("-inf")), dim=1)


def pooled_probs(scp: Tensor, weights: Tensor) -> Tensor:
    """x = sum over t of phi(t) Psi(t): (B, K) from (B, K, T) and (B, T)."""
    return torch.einsum("bkt,bt->bk", scp, weights)


def video_logits(video_probs: Tensor, how: ScpNorm, *, eps: float = 1e-8) -> Tensor:
    """(B, K) logits whose softmax over the classes ("softmax") or logistic function ("sigmoid") gives x back."""
    floored = video_probs.clamp(min=eps)
    return floored.log() if how == "softmax" else floored.log() - (1.0 - video_probs).clamp(min=eps).log()


def mil_loss(video_probs: Tensor, video_labels: Tensor, *, eps: float = 1e-8) -> Tensor:
    """-sum over k of y_k / |y|_1 log x_k, mean over the videos; a video without any label adds 0.

    Args:
        video_probs: (B, K) x.
        video_labels: (B, K) multi-hot y.
        eps: floor of x.
    """
    share = video_labels / video_labels.sum(dim=1, keepdim=True).clamp(min=1.0)
    return -(share.to(video_probs.dtype) * video_probs.clamp(min=eps).log()).sum(dim=1).mean()


class SnippetHeads(nn.Module):
    """One linear classifier per stream and one linear attention, on concatenated features.

    Args:
        feat_dim: C, all streams together, each of the same width.
        num_classes: K.
        streams: R.
        norm: how logits become Psi.
        block_diagonal_init: a stream's classifier starts blind to the other streams.

    Raises:
        ValueError: C cannot be divided among the streams.
    """

    def __init__(
        self, *, feat_dim: int, num_classes: int, streams: int, norm: ScpNorm, block_diagonal_init: bool
    ) -> None:
        super().__init__()
        if feat_dim % streams:
            raise ValueError(
                f"cls.streams: {feat_dim} feature channels are not {streams} streams of one width; set cls.streams to 1"
            )
        self._num_classes, self._norm = num_classes, norm
        self.classifier = nn.Linear(feat_dim, streams * num_classes)
        self.attention = nn.Linear(feat_dim, 1)
        self._initialise(streams, block_diagonal_init)

    @torch.no_grad()
    def _initialise(self, streams: int, block_diagonal: bool) -> None:
        for layer in (self.classifier, self.attention):
            nn.init.normal_(layer.weight, std=INIT_STD)
            nn.init.zeros_(layer.bias)
        if block_diagonal:
            rows = self.classifier.weight.chunk(streams, dim=0)
            own = [weight.chunk(streams, dim=1)[r] for r, weight in enumerate(rows)]
            biases = self.classifier.bias.chunk(streams)
            attention = [(part, self.attention.bias) for part in self.attention.weight.chunk(streams, dim=1)]
            joined = join_streams(list(zip(own, biases, strict=True)), attention)
            parameters = (self.classifier.weight, self.classifier.bias, self.attention.weight, self.attention.bias)
            for parameter, value in zip(parameters, joined, strict=True):
                parameter.copy_(value)

    def forward(self, feats: Tensor, valid_mask: Tensor) -> SnippetEvidence:
        """Evidence from (B, C, T) features."""
        x = feats.transpose(1, 2)
        logits = self.classifier(x).transpose(1, 2).unflatten(1, (-1, self._num_classes))  # (B, R, K, T)
        attention_logits = self.attention(x)[..., 0]
        scp = normalise_scp(logits, valid_mask, self._norm)
        video_probs = pooled_probs(scp, attention_weights(attention_logits, valid_mask))
        return SnippetEvidence(logits.mean(dim=1), scp, attention_logits, video_probs)
