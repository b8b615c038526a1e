"""The network of UntrimmedNet on stored features."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from trainables.detections import Detections
from trainables.detectors.untrimmed_net.config import Config
from trainables.detectors.untrimmed_net.detect import detect_runs
from trainables.layers.snippet_heads import ScpNorm, SnippetHeads, mil_loss, video_logits
from trainables.records import Batch, Outputs, RawOutput


class UntrimmedNet(nn.Module):
    """Learns from video labels alone; never reads a boundary.

    Args:
        feat_dim: C.
        num_classes: K.
        streams: feature streams side by side.
        norm: how class logits come to [0, 1].
        dropout: on the features.
        block_diagonal_init: a stream's classifier starts blind to the other stream.
    """

    def __init__(
        self, *, feat_dim: int, num_classes: int, streams: int, norm: ScpNorm, dropout: float, block_diagonal_init: bool
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.heads = SnippetHeads(
            feat_dim=feat_dim,
            num_classes=num_classes,
            streams=streams,
            norm=norm,
            block_diagonal_init=block_diagonal_init,
        )
        self._norm: ScpNorm = norm

    def forward(self, batch: Batch) -> Outputs:
        """Class evidence of every snippet and of the video; ``feats`` are the features as they came."""
        if batch.feats is None:
            raise ValueError("untrimmed_net reads pre-extracted features; the batch has none")
        evidence = self.heads(self.dropout(batch.feats), batch.valid_mask)
        return Outputs(
            valid_mask=batch.valid_mask,
            feats=batch.feats,
            cas_logits=evidence.class_logits,
            video_logits=video_logits(evidence.video_probs, self._norm),
            raw={"scp": evidence.scp.detach(), "class_probs": evidence.video_probs.detach()},
            terms={"video_probs": evidence.video_probs},
        )

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """``class``: cross-entropy of the video's class distribution.

        Raises:
            ValueError: a name that this configuration does not have.
        """
        unknown = sorted(set(active) - {"class"})
        if unknown:
            raise ValueError(f"no loss {', '.join(unknown)}; this detector has class")
        if batch.video_labels is None:
            raise ValueError("the classification loss needs video labels; the batch has none")
        return {name: mil_loss(outputs.terms["video_probs"], batch.video_labels) for name in active}

    def detect(self, raw: Sequence[RawOutput], config: Config | Any) -> Detections:
        """Detections of whole videos."""
        return detect_runs(raw, config)
