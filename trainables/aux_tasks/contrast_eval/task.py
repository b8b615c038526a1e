"""The module of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainables.aux_tasks.contrast_eval.config import Config
from trainables.aux_tasks.contrast_eval.judge import judge_segments, window_snippets
from trainables.aux_tasks.contrast_eval.rescoring import contrast_of_detections, rescored
from trainables.contracts import TaskBase
from trainables.detections import Detections
from trainables.layers.ranking import best_per_group
from trainables.layers.snippet_heads import SnippetEvidence, SnippetHeads, mil_loss
from trainables.losses.contrast import margin_loss
from trainables.records import Batch, Outputs, RawOutput, SegmentView

#: Name under which the class scores are stored with the host's raw outputs.
STORED = "contrast_eval_scp"


class ContrastEval(TaskBase):
    """Judges the host's segments by their contrast score.

    The class scores it judges by are detached: its verdict reaches the host through the segments' ends alone. A
    classifier of its own, with a loss of its own, trains the host's features as well.

    Args:
        feat_channels: C of the host's features.
        num_classes: K.
        settings: of the task.
    """

    def __init__(self, *, feat_channels: int, num_classes: int, settings: Config) -> None:
        super().__init__()
        self._settings = settings
        if settings.cas == "own":
            self.heads = SnippetHeads(
                feat_dim=feat_channels, num_classes=num_classes, streams=1, norm="softmax", block_diagonal_init=False
            )

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``contrast_eval``: Eq. (13) on the best segments of each input; ``contrast_eval_class``: the classifier's."""
        if outputs.segments is None or outputs.feats is None or batch.video_labels is None:
            raise ValueError("contrast_eval needs the host's feats and segments, and video labels")
        terms: dict[str, Tensor] = {}
        if self._settings.cas == "own":
            evidence = self._own(outputs)
            scp = evidence.scp
            terms["contrast_eval_class"] = mil_loss(evidence.video_probs, batch.video_labels)
        else:
            scp = self._host_scp(outputs)
        view = outputs.segments
        chosen = self._best(view)
        windows = [window_snippets(self._settings.window_s, float(s)) for s in batch.seconds_per_sample]
        scores = judge_segments(
            scp.detach(),
            outputs.valid_mask,
            view.input_index[chosen],
            view.labels[chosen],
            view.ends_grid[chosen],
            windows=windows,
            ratio=self._settings.ratio,
        )
        loss = margin_loss(scores, torch.ones_like(scores, dtype=torch.bool), margin=self._settings.margin)
        return {"contrast_eval": loss.to(outputs.feats.dtype), **terms}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """``contrast_eval`` is a mean over segments."""
        return {} if outputs.segments is None else {"contrast_eval": float(len(self._best(outputs.segments)))}

    def _best(self, view: SegmentView) -> Tensor:
        """Rows of the segments that take part."""
        return best_per_group(view.scores, view.input_index, max_num=self._settings.top)

    def _own(self, outputs: Outputs) -> SnippetEvidence:
        assert outputs.feats is not None, "checked before"
        evidence: SnippetEvidence = self.heads(outputs.feats, outputs.valid_mask)
        return evidence

    def _host_scp(self, outputs: Outputs) -> Tensor:
        if outputs.cas_logits is None:
            raise ValueError("contrast_eval needs the host's cas_logits; set tasks.contrast_eval.cas to own")
        return torch.softmax(outputs.cas_logits, dim=1) * outputs.valid_mask[:, None]

    def raw(self, outputs: Outputs) -> Mapping[str, Tensor]:
        """The class scores (B, K, T)."""
        if outputs.feats is None:
            raise ValueError("contrast_eval needs the host's feats")
        scp = self._own(outputs).scp if self._settings.cas == "own" else self._host_scp(outputs)
        return {STORED: scp.detach()}

    def rescore(self, detections: Detections, raw: Sequence[RawOutput], config: Config) -> Detections:
        """Detections with scores changed by their contrast score."""
        if config.rescore == "none":
            return detections
        contrast = contrast_of_detections(detections, raw, name=STORED, window_s=config.window_s, ratio=config.ratio)
        return rescored(detections, contrast, how=config.rescore, kappa=config.kappa, eta=config.eta)
