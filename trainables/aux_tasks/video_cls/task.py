"""The module of the task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.aux_tasks.video_cls.config import Config
from trainables.contracts import TaskBase
from trainables.detections import Detections, FloatArray
from trainables.layers.clip_classes import classes_present
from trainables.layers.dilated import masked_mean
from trainables.records import Batch, Outputs, RawOutput

#: Name under which the class probabilities of an input are stored with the host's raw outputs.
STORED = "video_cls_probs"

#: Least probability, so that a score below 0 can be divided by it.
_FLOOR = 1e-8


class VideoCls(TaskBase):
    """A linear layer on the mean of the host's features; every class is a decision of its own.

    Args:
        feat_channels: C of the host's features.
        num_classes: K.
    """

    def __init__(self, *, feat_channels: int, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(feat_channels, num_classes)

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``video_cls``: binary cross-entropy, mean over inputs and classes.

        An input's classes are those of the instances that belong to it, where the host may read them, else the video's.

        Raises:
            ValueError: no features, or neither segments nor video labels.
        """
        logits = self._logits(outputs)
        if batch.segments is not None:
            present = classes_present(batch.segments, logits)
        elif batch.video_labels is not None:
            present = batch.video_labels.to(logits.dtype)
        else:
            raise ValueError("video_cls needs segments or video labels; the batch has none")
        return {"video_cls": F.binary_cross_entropy_with_logits(logits, present)}

    def _logits(self, outputs: Outputs) -> Tensor:
        if outputs.feats is None:
            raise ValueError("video_cls needs the host's feats")
        logits: Tensor = self.classify(masked_mean(outputs.feats, outputs.valid_mask))
        return logits

    def raw(self, outputs: Outputs) -> Mapping[str, Tensor]:
        """The class probabilities (B, K) of every input."""
        return {STORED: self._logits(outputs).detach().sigmoid()}

    def rescore(self, detections: Detections, raw: Sequence[RawOutput], config: Config) -> Detections:
        """Detections of classes that their clip hardly shows fall behind."""
        prob = probs_of_detections(detections, raw) ** config.power
        scores = detections.scores
        # a score below 0 falls when it is divided
        return dataclasses.replace(detections, scores=np.where(scores >= 0, scores * prob, scores / prob))


def probs_of_detections(detections: Detections, raw: Sequence[RawOutput]) -> FloatArray:
    """Probability of every detection's class in the clip that shows most of it; of equal clips the earlier.

    Args:
        detections: N of them.
        raw: stored outputs of the same videos.

    Returns:
        (N,).
    """
    probs = np.full(len(detections.scores), _FLOOR)
    shown = np.full(len(detections.scores), -1.0)
    place = {video_id: i for i, video_id in enumerate(detections.video_ids)}
    for r in raw:
        rows = np.flatnonzero(detections.video == place[r.video_id])
        end_s = r.start_s + r.num_samples * r.seconds_per_sample
        inside = np.clip(detections.segments_s[rows], r.start_s, end_s)
        visible = inside[:, 1] - inside[:, 0]
        better = visible > shown[rows]
        rows = rows[better]
        shown[rows] = visible[better]
        probs[rows] = np.maximum(r.tensors[STORED].numpy().astype(np.float64)[detections.labels[rows]], _FLOOR)
    return probs
