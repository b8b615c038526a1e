"""The network of SP-TAD: three stages of a backbone, a pyramid, learnt proposals, detection heads one behind the other.

Letters: S stages of refinement, B inputs, N proposals, D width, K classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detections import Detections
from trainables.detectors.sp_tad.detect import detect_segments
from trainables.detectors.sp_tad.matching import Instances, assign, match_cost
from trainables.detectors.sp_tad.objectives import act_loss, focal_class_loss, labels_of, segment_losses
from trainables.detectors.sp_tad.proposals import Proposals
from trainables.detectors.sp_tad.pyramid import Levels, Pyramid, soi_feats
from trainables.detectors.sp_tad.regions import Regions
from trainables.detectors.sp_tad.settings import Settings
from trainables.detectors.sp_tad.stages import Stage
from trainables.detectors.sp_tad.stem import Stem
from trainables.records import Batch, Outputs, RawOutput


class SpTad(Regions):
    """A set of learnt proposals, refined stage by stage, each matched to at most one instance.

    Args:
        stem: the three stages.
        num_classes: K.
        settings: everything else.
    """

    def __init__(self, *, stem: Stem, num_classes: int, settings: Settings) -> None:
        width = settings.width
        pyramid = Pyramid(settings.pyramid, channels=stem.channels, strides=stem.strides, width=width, fpn=settings.fpn)
        stages = nn.ModuleList(
            Stage(width=width, resolution=settings.soi.resolution, num_classes=num_classes, head=settings.head)
            for _ in range(settings.num_heads)
        )
        super().__init__(
            stages=stages,
            width=width,
            num_classes=num_classes,
            stride=pyramid.strides[0],
            soi=settings.soi,
            focal=settings.focal,
        )
        self.stem = stem
        self.pyramid = pyramid
        self.proposals = Proposals(number=settings.num_proposals, width=width, init=settings.proposal_init)
        self.act = nn.Linear(stem.clip_channels, num_classes) if settings.act_head else None
        self._names = tuple(settings.loss_weights())
        self._cost_weights = settings.cost_weights()

    def forward(self, batch: Batch) -> Outputs:
        """Logits and segments of all stages; in training also the instances they stand for."""
        found = self.stem(batch)
        num_samples = batch.valid_mask.shape[1]
        levels = Levels.of(self.pyramid(found.sequences), self.pyramid.strides, num_samples)
        start, logits, segments, feats = self._refine(levels, len(batch.video_ids))
        terms = {"logits": logits, "segments": segments, "feats": feats}
        terms |= {"cells": levels.cells, "counts": levels.counts, "strides": levels.strides}
        raw = {"class_logits": logits[-1].detach(), "segments": segments[-1].detach() * num_samples}
        if self.act is not None:
            terms["act_logits"] = self.act(found.clip_feat)
            raw["act_probs"] = terms["act_logits"].detach().sigmoid()
        view = self._view(start, feats[-1], logits[-1], batch.valid_mask)
        if self.training and batch.segments is not None:
            instances = Instances.of(batch.segments, num_samples)
            terms["matched"] = self._match(logits, segments, instances)
            view = self._with_targets(view, terms["matched"][-1], instances, num_samples)
        finest = F.adaptive_avg_pool1d(levels.finest(), _padded(num_samples, levels))[:, :, :num_samples]
        return Outputs(valid_mask=batch.valid_mask, feats=finest, rois=view, raw=raw, terms=terms)

    def _refine(self, levels: Levels, num_inputs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Segments that the last stage starts from; (S, B, N, K) logits, (S, B, N, 2) segments, (S, B, N, D) features.

        A stage's segments are constants for the next one; its features are not.
        """
        current, feats = self.proposals(num_inputs)
        start = current
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for stage in self.stages:
            start = current
            logits, segments, feats = stage(soi_feats(levels, start, self._soi), feats, start)
            found.append((logits, segments, feats))
            current = segments.detach()
        logits, segments, feats = (torch.stack(parts) for parts in zip(*found, strict=True))
        return start, logits, segments, feats

    def _match(self, logits: Tensor, segments: Tensor, instances: Instances) -> Tensor:
        """(S, B, N) index of each prediction's instance in its input, or -1."""
        costs = [
            match_cost(own, predicted, instances, weights=self._cost_weights, focal=self._focal)
            for own, predicted in zip(logits, segments, strict=True)
        ]
        return torch.stack([assign(cost, instances.counts) for cost in costs])

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """Of every stage k ``stagek_class``, ``stagek_l1`` and ``stagek_giou``; ``act`` where there is the head.

        All are sums over the batch's instances divided by their number, but ``act``, a mean over clips.

        Raises:
            ValueError: a name that is not there, or outputs without targets.
        """
        unknown = sorted(set(active) - set(self._names))
        if unknown:
            raise ValueError(f"no loss {', '.join(unknown)}; this sp_tad has {', '.join(self._names)}")
        terms = outputs.terms
        if "matched" not in terms or batch.segments is None:
            raise ValueError("the losses of sp_tad need training mode and segments in the forward pass")
        instances = Instances.of(batch.segments, outputs.valid_mask.shape[1])
        found: dict[str, Tensor] = {}
        for k, (logits, segments, matched) in enumerate(
            zip(terms["logits"], terms["segments"], terms["matched"], strict=True), start=1
        ):
            found[f"stage{k}_class"] = focal_class_loss(logits, labels_of(matched, instances), self._focal)
            found[f"stage{k}_l1"], found[f"stage{k}_giou"] = segment_losses(segments, matched, instances)
        if "act_logits" in terms:
            found["act"] = act_loss(terms["act_logits"], batch.segments)
        return {name: found[name] for name in active}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """The losses of the stages are means over instances."""
        assert batch.segments is not None, "losses were computed"
        count = float(max(sum(len(target.labels) for target in batch.segments), 1))
        return {name: count for name in self._names if name != "act"}

    def detect(self, raw: Sequence[RawOutput], config: Settings | Any) -> Detections:
        """Detections of whole videos."""
        return detect_segments(raw, config)


def _padded(num_samples: int, levels: Levels) -> int:
    """Samples that the finest level covers, padding of the stem included."""
    return max(round(int(levels.counts[0]) * float(levels.strides[0])), num_samples)
