"""The network of PBRNet: coarse pyramid, refined pyramid, frame level."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.detectors.pbrnet.anchors import pyramid_anchors
from trainables.detectors.pbrnet.detect import detect_segments
from trainables.detectors.pbrnet.frame_level import FrameModule
from trainables.detectors.pbrnet.objectives import Step, boundary_loss, class_loss, offset_loss, targets_of
from trainables.detectors.pbrnet.pyramids import CoarsePyramid, RefinedPyramid
from trainables.detectors.pbrnet.regions import Regions
from trainables.detectors.pbrnet.segments import at_frame_centres, decode_inside
from trainables.detectors.pbrnet.settings import FRAMES_PER_CELL, Match, Net, Settings
from trainables.detectors.pbrnet.stem import Stem
from trainables.detectors.pbrnet.targets import instances_of
from trainables.layers.offsets import decode_ends
from trainables.records import Batch, Outputs, RawOutput, RoiView, SegmentTargets

_LOSSES = ("cpd_class", "cpd_offset", "rpd_class", "rpd_offset", "fgd_boundary", "fgd_offset", "positive_regions")
_STEPS = ("cpd", "rpd", "fgd")


class PbrNet(Regions):
    """One-stage detector in three cascaded steps, with regions for auxiliary tasks.

    Source: Qinying-Liu/PBRNet:network.py. Differs: offsets are learnt from positives that were not rejected (there also
    from negatives that were not); FGD matches segments as they are (there their ends are read as centre and length once
    more); a batch without positives adds 0 (there NaN); segments are cut to the clip, and what was decoded is a
    constant for the step after it (there its targets carry gradient back); coordinates are continuous, frame f covers
    [f, f + 1) (there they are shifted by half a frame).

    Args:
        stem: the shared map.
        num_classes: K.
        net: sizes.
        match: thresholds.
    """

    def __init__(self, *, stem: Stem, num_classes: int, net: Net, match: Match) -> None:
        num_logits, width, space = num_classes + 1, net.width, stem.space
        super().__init__(
            channels=stem.channels,
            samples_per_cell=stem.samples_per_cell,
            bins=stem.bins,
            width=net.roi_width,
            num_logits=num_logits,
        )
        self.stem = stem
        self.coarse = CoarsePyramid(channels=stem.channels, width=width, space=space, num_logits=num_logits)
        self.refined = RefinedPyramid(width=width, space=space, num_logits=num_logits)
        self.frames = FrameModule(stem.branch(width), width=width, space=space)
        self._match = match
        self._frames_per_sample = FRAMES_PER_CELL // stem.samples_per_cell

    def forward(self, batch: Batch) -> Outputs:
        """Segments of all three steps; in training also what each of them stands for."""
        shared, source = self.stem(batch)
        limit = batch.valid_mask.sum(dim=1) * self._frames_per_sample
        maps, cpd_offsets, cpd_logits = self.coarse(shared)
        finest, rpd_offsets, rpd_logits = self.refined(maps)
        frame_feats, boundary_logits = self.frames(source, finest)

        anchors = pyramid_anchors(shared.shape[2]).to(shared)
        absent = anchors.mean(dim=1) >= limit[:, None]  # centred in padding
        coarse = decode_inside(anchors, cpd_offsets.detach(), limit)
        middle = at_frame_centres(decode_inside(coarse, rpd_offsets.detach(), limit), limit)
        fgd_offsets = self.frames.offsets(frame_feats, middle)
        fine = decode_ends(middle, fgd_offsets.detach())
        coarse_background = _background(cpd_logits).masked_fill(absent, 1.0)

        terms = {"map": shared, "cpd_logits": cpd_logits, "rpd_logits": rpd_logits, "boundary_logits": boundary_logits}
        terms |= {"cpd_offsets": cpd_offsets, "rpd_offsets": rpd_offsets, "fgd_offsets": fgd_offsets}
        view = self._view(shared, coarse / self._frames_per_sample, rpd_logits)
        if self.training and batch.segments is not None:
            steps = {
                "cpd": Step(anchors.expand_as(coarse), absent.to(shared)),
                "rpd": Step(coarse, coarse_background),
                "fgd": Step(middle, _background(rpd_logits)),
            }
            terms |= self._targets(steps, batch.segments, limit, boundary_logits.shape[2])
            view = self._with_targets(view, terms)
        return Outputs(
            valid_mask=batch.valid_mask,
            rois=view,
            raw={
                "class_logits": rpd_logits.detach(),
                "coarse_background": coarse_background,
                "segments": fine / self._frames_per_sample,
                "boundary_probs": _boundary_probs(boundary_logits.detach(), fine, limit),
            },
            terms=terms,
        )

    def _targets(
        self, steps: Mapping[str, Step], segments: Sequence[SegmentTargets], limit: Tensor, num_frames: int
    ) -> dict[str, Tensor]:
        instances = instances_of(segments, frames_per_sample=self._frames_per_sample)
        in_clip = torch.arange(num_frames, device=limit.device) < limit[:, None]
        return targets_of(steps, instances, self._match, in_clip)

    def _with_targets(self, view: RoiView, terms: Mapping[str, Tensor]) -> RoiView:
        matched = terms["rpd_matched"].flatten(0, 1) / self._frames_per_sample
        return dataclasses.replace(view, labels=terms["rpd_labels"].flatten(), matched_gt=matched)

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """Classification and offsets of each step, start and end of frames; to be logged, the positive regions' share.

        ``cpd_class``, ``rpd_class``: cross-entropy; ``cpd_offset``, ``rpd_offset``, ``fgd_offset``: smooth L1;
        ``fgd_boundary``: balanced log loss; ``positive_regions``: of those that CPD does not reject.

        Raises:
            ValueError: a name that is not there, or outputs without targets.
        """
        unknown = sorted(set(active) - set(_LOSSES))
        if unknown:
            raise ValueError(f"no loss {', '.join(unknown)}; pbrnet has {', '.join(_LOSSES)}")
        if "rpd_labels" not in outputs.terms:
            raise ValueError("the losses of pbrnet need training mode and segments in the forward pass")
        found: dict[str, Tensor] = {}
        for name in active:
            step, kind = name.split("_")
            if kind == "boundary":
                found[name] = boundary_loss(outputs.terms)
            elif kind == "regions":
                labels = outputs.terms["rpd_labels"]
                found[name] = (labels > 0).sum() / (labels >= 0).sum().clamp(min=1)
            else:
                found[name] = (class_loss if kind == "class" else offset_loss)(outputs.terms, step)
        return found

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """Positives of each step; regions that CPD does not reject. The others are made of joint rows."""
        positives = {f"{step}_offset": outputs.terms[f"{step}_labels"] > 0 for step in _STEPS}
        regions = outputs.terms["rpd_labels"] >= 0
        return {name: float(rows.sum()) for name, rows in {**positives, "positive_regions": regions}.items()}

    def detect(self, raw: Sequence[RawOutput], config: Settings | Any) -> Detections:
        """Detections of whole videos."""
        return detect_segments(raw, config)


def _background(logits: Tensor) -> Tensor:
    """(B, N) probability of background, a constant."""
    return logits.detach().softmax(-1)[..., 0]


def _boundary_probs(logits: Tensor, segments: Tensor, limit: Tensor) -> Tensor:
    """(B, N, 2) start probability of the frame that holds the start, end probability of that of the end.

    Args:
        logits: (B, 2, F).
        segments: (B, N, 2) start, end in frames, anywhere.
        limit: (B,) frames of the clip.
    """
    last = (limit - 1)[:, None, None]
    frame = torch.minimum(segments.floor().clamp(min=0).long(), last)
    return logits.sigmoid().gather(2, frame.transpose(1, 2)).transpose(1, 2)
