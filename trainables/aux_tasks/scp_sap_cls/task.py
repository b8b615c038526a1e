"""The module of the task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from trainables.aux_tasks.scp_sap_cls.config import Config
from trainables.contracts import TaskBase
from trainables.detections import Detections, FloatArray
from trainables.layers.snippet_heads import SnippetEvidence, SnippetHeads, mil_loss
from trainables.records import Batch, Outputs, RawOutput

#: Name under which the class probabilities of an input are stored with the host's raw outputs.
STORED = "scp_sap_cls_probs"


class ScpSapCls(TaskBase):
    """Classes of snippets and attention on the host's features, trained on video labels.

    Args:
        feat_channels: C of the host's features.
        num_classes: K.
    """

    def __init__(self, *, feat_channels: int, num_classes: int) -> None:
        super().__init__()
        self.heads = SnippetHeads(
            feat_dim=feat_channels, num_classes=num_classes, streams=1, norm="softmax", block_diagonal_init=False
        )

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``scp_sap_cls``: cross-entropy of the video's class distribution, all snippets taking part."""
        if batch.video_labels is None:
            raise ValueError("scp_sap_cls needs video labels; the batch has none")
        return {"scp_sap_cls": mil_loss(self._evidence(outputs).video_probs, batch.video_labels)}

    def _evidence(self, outputs: Outputs) -> SnippetEvidence:
        if outputs.feats is None:
            raise ValueError("scp_sap_cls needs the host's feats")
        evidence: SnippetEvidence = self.heads(outputs.feats, outputs.valid_mask)
        return evidence

    def raw(self, outputs: Outputs) -> Mapping[str, Tensor]:
        """The class distribution (B, K) of every input."""
        return {STORED: self._evidence(outputs).video_probs.detach()}

    def rescore(self, detections: Detections, raw: Sequence[RawOutput], config: Config) -> Detections:
        """Detections of classes that the video hardly shows fall behind."""
        prior = class_prior(detections.video_ids, raw)[detections.video, detections.labels] ** config.eta
        scores = detections.scores
        # a score below 0 falls when it is divided
        return dataclasses.replace(detections, scores=np.where(scores >= 0, scores * prior, scores / prior))


def class_prior(video_ids: Sequence[str], raw: Sequence[RawOutput], *, floor: float = 1e-8) -> FloatArray:
    """Class probabilities of whole videos: mean over their inputs, each counted by its valid samples.

    Args:
        video_ids: V ids.
        raw: stored outputs of the same videos.
        floor: least value.

    Returns:
        (V, K).
    """
    place = {video_id: i for i, video_id in enumerate(video_ids)}
    video = np.asarray([place[r.video_id] for r in raw], np.int64)
    samples = np.asarray([r.num_samples for r in raw], np.float64)
    probs = np.stack([r.tensors[STORED].numpy().astype(np.float64) for r in raw])
    total = np.zeros((len(video_ids), probs.shape[1]))
    np.add.at(total, video, samples[:, None] * probs)
    share = total / np.bincount(video, samples, minlength=len(video_ids))[:, None]
    return np.maximum(share, floor)
