"""The module of the task."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trainables.contracts import TaskBase
from trainables.layers.coverage import covered_snippets
from trainables.layers.ranking import best_per_group
from trainables.layers.snippet_heads import SnippetHeads, attention_weights, mil_loss, pooled_probs
from trainables.records import Batch, Outputs


class PositiveSnippetCls(TaskBase):
    """Classes of snippets and attention on the host's features, learned from what lies inside its best segments.

    The segments only choose snippets: no gradient reaches their ends.

    Args:
        feat_channels: C of the host's features.
        num_classes: K.
        top: segments of an input that count.
    """

    def __init__(self, *, feat_channels: int, num_classes: int, top: int) -> None:
        super().__init__()
        self._top = top
        self.heads = SnippetHeads(
            feat_dim=feat_channels, num_classes=num_classes, streams=1, norm="softmax", block_diagonal_init=False
        )

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``positive_snippet_cls``: cross-entropy of the class distribution that the chosen snippets give.

        An input without segments is classified from all of its snippets.
        """
        view, valid = outputs.segments, outputs.valid_mask
        if view is None or outputs.feats is None or batch.video_labels is None:
            raise ValueError("positive_snippet_cls needs the host's feats and segments, and video labels")
        best = best_per_group(view.scores, view.input_index, max_num=self._top)
        inside = covered_snippets(view.input_index[best], view.ends_grid.detach()[best], *valid.shape) & valid
        among = torch.where(inside.any(dim=1, keepdim=True), inside, valid)
        evidence = self.heads(outputs.feats, valid)
        weights = attention_weights(evidence.attention_logits, among)
        return {"positive_snippet_cls": mil_loss(pooled_probs(evidence.scp, weights), batch.video_labels)}
