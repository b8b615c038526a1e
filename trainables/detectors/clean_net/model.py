"""The network of CleanNet: snippet classification, proposal generator, contrast evaluator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainables.detections import Detections
from trainables.detectors.clean_net.config import Config, Contrast, Gen, Reg, Sel
from trainables.detectors.clean_net.detect import detect_segments
from trainables.detectors.clean_net.generator import ProposalGenerator
from trainables.detectors.clean_net.selection import candidates, judge, open_positions
from trainables.detectors.untrimmed_net.config import Cls
from trainables.layers.anchors import clip_to_video, decode_anchors
from trainables.layers.coverage import covered_snippets
from trainables.layers.snippet_heads import (
    SnippetEvidence,
    SnippetHeads,
    attention_weights,
    mil_loss,
    pooled_probs,
    video_logits,
)
from trainables.losses.contrast import margin_loss
from trainables.records import Batch, Outputs, RawOutput, SegmentView


@dataclass(frozen=True)
class _Judged:
    """Segments of the labelled classes: (S,) video and label, (S, M, T) scores and positives, (S, M, T, 2) ends."""

    video: Tensor
    label: Tensor
    scores: Tensor
    positive: Tensor
    ends: Tensor


class CleanNet(nn.Module):
    """Learns from video labels alone; never reads a boundary.

    Args:
        feat_dim: C.
        num_classes: K.
        cls: snippet classification and attention.
        gen: proposal generator.
        contrast: evaluator.
        sel: which anchors are looked at, which segments are positive.
        reg: regression loss.
    """

    def __init__(
        self, *, feat_dim: int, num_classes: int, cls: Cls, gen: Gen, contrast: Contrast, sel: Sel, reg: Reg
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(cls.dropout)
        self.heads = SnippetHeads(
            feat_dim=feat_dim,
            num_classes=num_classes,
            streams=cls.streams,
            norm=cls.scp_norm,
            block_diagonal_init=cls.block_diagonal_init,
        )
        self._norm = cls.scp_norm
        self._gen, self._contrast, self._sel, self._reg = gen, contrast, sel, reg
        if gen.train:
            self.generator = ProposalGenerator(
                feat_dim=feat_dim,
                width=gen.width,
                layers=gen.layers,
                norm=gen.norm,
                anchors=gen.anchors,
                parts=gen.parts if gen.tsn_sampling else None,
            )

    def forward(self, batch: Batch) -> Outputs:
        """Class evidence, offsets of every anchor and, in training, the positive segments.

        ``feats`` are the generator's trunk features; without a generator the features as they came.
        """
        if batch.feats is None:
            raise ValueError("clean_net reads pre-extracted features; the batch has none")
        feats, valid = batch.feats, batch.valid_mask
        # segments are judged without dropout: its noise would move the edges
        steady: SnippetEvidence = self.heads(feats, valid)
        learning: SnippetEvidence = self.heads(self.dropout(feats), valid) if self.heads.training else steady
        raw = {
            "scp": steady.scp.detach(),
            "attention_logits": steady.attention_logits.detach(),
            "class_probs": steady.video_probs.detach(),
        }
        terms = {
            "scp": learning.scp,
            "attention_logits": learning.attention_logits,
            "video_probs": learning.video_probs,
        }
        trunk, offsets = feats, None
        if self._gen.train:
            trunk, offsets = self.generator(feats, valid)
            raw["offsets"] = offsets.detach()
        view = None
        if self.training and batch.video_labels is not None:
            judged = self._judge(steady, offsets, valid, batch.video_labels)
            terms |= {"contrast": judged.scores, "positive": judged.positive}
            view = _positives(judged, feats.dtype)
            terms["covered"] = covered_snippets(view.input_index, view.ends_grid.detach(), *valid.shape)
        return Outputs(
            valid_mask=valid,
            feats=trunk,
            cas_logits=learning.class_logits,
            video_logits=video_logits(learning.video_probs, self._norm),
            segments=view,
            raw=raw,
            terms=terms,
        )

    def _judge(self, evidence: SnippetEvidence, offsets: Tensor | None, valid: Tensor, video_labels: Tensor) -> _Judged:
        """Every anchor's segment under the contrast score of every labelled class (3.4), in double precision."""
        video, label = torch.nonzero(video_labels > 0, as_tuple=True)
        anchors = torch.tensor(self._gen.anchors, device=valid.device, dtype=torch.float64)
        if offsets is None:
            offsets = anchors.new_zeros(len(valid), 2, len(anchors), valid.shape[1])
        ends = clip_to_video(decode_anchors(offsets.double(), anchors), valid.sum(dim=1))[video]
        scp = evidence.scp[video, label].double()
        scores = judge(scp.detach() if self._reg.detach_scp else scp, valid[video], ends, self._contrast)
        sel = self._sel
        is_open = open_positions(
            scp.detach(),
            evidence.attention_logits[video].detach().double(),
            valid[video],
            theta_scp=sel.theta_scp,
            sap_mode=sel.sap_mode,
            theta_sap=sel.theta_sap,
        )
        usable = candidates(scores.detach(), ends.detach(), is_open, per_position_best=sel.per_position_best)
        return _Judged(video, label, scores, usable & (scores.detach() > sel.positive_score), ends)

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """The losses of both phases, and a count to be logged.

        ``class``: cross-entropy of the video's class distribution; ``positive_class``: the same with the attention over
        the snippets of positive segments alone (3.4), all snippets where a video has none; ``contrast``: Eq. (13);
        ``num_positives``: positive segments of a video, mean over the batch.

        Raises:
            ValueError: a name that this configuration does not have.
        """
        known = {"class": self._class_loss}
        if self._gen.train:
            known |= {
                "positive_class": self._positive_class_loss,
                "contrast": self._contrast_loss,
                "num_positives": self._num_positives,
            }
        unknown = sorted(set(active) - known.keys())
        if unknown:
            raise ValueError(f"no loss {', '.join(unknown)}; this configuration has {', '.join(known)}")
        if batch.video_labels is None:
            raise ValueError("the losses of clean_net need video labels; the batch has none")
        return {name: known[name](outputs, batch.video_labels) for name in active}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """``contrast`` is a mean over positive segments."""
        return {"contrast": float(outputs.terms["positive"].sum())} if "positive" in outputs.terms else {}

    def _class_loss(self, outputs: Outputs, video_labels: Tensor) -> Tensor:
        return mil_loss(outputs.terms["video_probs"], video_labels)

    def _positive_class_loss(self, outputs: Outputs, video_labels: Tensor) -> Tensor:
        covered = _term(outputs, "covered") & outputs.valid_mask
        among = torch.where(covered.any(dim=1, keepdim=True), covered, outputs.valid_mask)
        weights = attention_weights(outputs.terms["attention_logits"], among)
        return mil_loss(pooled_probs(outputs.terms["scp"], weights), video_labels)

    def _contrast_loss(self, outputs: Outputs, video_labels: Tensor) -> Tensor:
        loss = margin_loss(_term(outputs, "contrast"), outputs.terms["positive"], margin=self._reg.margin)
        return loss.to(outputs.terms["scp"].dtype)

    def _num_positives(self, outputs: Outputs, video_labels: Tensor) -> Tensor:
        return _term(outputs, "positive").sum().to(outputs.terms["scp"].dtype) / len(video_labels)

    def detect(self, raw: Sequence[RawOutput], config: Config | Any) -> Detections:
        """Detections of whole videos (4.1)."""
        return detect_segments(raw, config)


def _positives(judged: _Judged, dtype: torch.dtype) -> SegmentView:
    """The positive segments, with gradient in their ends."""
    row, anchor, position = torch.nonzero(judged.positive, as_tuple=True)
    return SegmentView(
        input_index=judged.video[row],
        ends_grid=judged.ends[row, anchor, position].to(dtype),
        labels=judged.label[row],
        scores=judged.scores.detach()[row, anchor, position].to(dtype),
    )


def _term(outputs: Outputs, name: str) -> Tensor:
    if name not in outputs.terms:
        raise ValueError("the losses of the second phase need training mode and video labels in the forward pass")
    return outputs.terms[name]
