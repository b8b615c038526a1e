"""The module of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trainables.aux_tasks.oic.config import Config
from trainables.contracts import TaskBase
from trainables.detections import Detections
from trainables.layers.anchors import clip_to_video
from trainables.layers.cas import normalise_cas
from trainables.layers.ranking import best_per_group
from trainables.losses.oic import oic_loss
from trainables.records import Batch, Outputs, RawOutput, SegmentView
from trainables.segments import seconds_to_grid

#: Name under which the sequences are stored for inference.
_CAS = "oic_cas"


class Oic(TaskBase):
    """Inner and outer contrast of the host's segments on its class activation sequence.

    Args:
        gamma: rim as a share of the length.
        outer_min: least rim on each side, samples.
        top: best segments of each input that take part.
        grad_to_cas: the gradient also reaches the sequence.
        eta: power of the factor at inference.
    """

    def __init__(self, *, gamma: float, outer_min: float, top: int, grad_to_cas: bool, eta: float) -> None:
        super().__init__()
        self._gamma, self._outer_min, self._top = gamma, outer_min, top
        self._grad_to_cas, self._eta = grad_to_cas, eta

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``oic_task``: mean over the segments of L_OIC + 1, in [0, 2]; 0 where the host offers none.

        In a phase in which the host's regression is frozen it is a constant.

        Raises:
            ValueError: the host has no sequence or no segments.
        """
        view, cas = outputs.segments, outputs.cas_logits
        if cas is None or view is None:
            raise ValueError("oic needs the host's segments with gradient and its cas_logits")
        if not len(view.labels):
            return {"oic_task": cas.sum() * 0.0}
        probs = normalise_cas(cas if self._grad_to_cas else cas.detach(), outputs.valid_mask)
        rows = self._best(view)
        video, label = view.input_index[rows], view.labels[rows]
        ends = clip_to_video(view.ends_grid[rows], outputs.valid_mask.sum(dim=1)[video])
        values = oic_loss(probs[video, label], ends[:, :1], ends[:, 1:], gamma=self._gamma, outer_min=self._outer_min)
        return {"oic_task": (values + 1.0).mean()}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """``oic_task`` is a mean over segments."""
        return {} if outputs.segments is None else {"oic_task": float(len(self._best(outputs.segments)))}

    def _best(self, view: SegmentView) -> Tensor:
        """Rows of the segments that take part."""
        return best_per_group(view.scores, view.input_index, max_num=self._top)

    def raw(self, outputs: Outputs) -> Mapping[str, Tensor]:
        """The normalised sequence, for the factor at inference."""
        if self._eta == 0 or outputs.cas_logits is None:
            return {}
        return {_CAS: normalise_cas(outputs.cas_logits, outputs.valid_mask)}

    def rescore(self, detections: Detections, raw: Sequence[RawOutput], config: Config) -> Detections:
        """Every confidence times (1 - L_OIC) ** eta on the sequence of its class; of windows, the one it lies in best.

        A detection that no input covers keeps its confidence.
        """
        if config.eta == 0 or not len(detections.scores):
            return detections
        factor, covered = np.ones(len(detections.scores)), np.zeros(len(detections.scores))
        index = {video_id: i for i, video_id in enumerate(detections.video_ids)}
        for one in raw:
            rows = np.flatnonzero(detections.video == index.get(one.video_id, -1))
            ends = seconds_to_grid(
                detections.segments_s[rows], start_s=one.start_s, seconds_per_sample=one.seconds_per_sample
            )
            inside = np.clip(ends, 0, one.num_samples)
            share = (inside[:, 1] - inside[:, 0]) / np.maximum(ends[:, 1] - ends[:, 0], 1e-9)
            better = share > covered[rows]
            rows, own = rows[better], torch.from_numpy(inside[better])
            cas = one.tensors[_CAS][:, : one.num_samples].double()[torch.from_numpy(detections.labels[rows])]
            loss = oic_loss(cas, own[:, :1], own[:, 1:], gamma=config.gamma, outer_min=config.outer_min)[:, 0]
            factor[rows], covered[rows] = (1.0 - loss.numpy()) ** config.eta, share[better]
        return replace(detections, scores=detections.scores * factor)
