"""Inference of CleanNet (4.1): from raw outputs to scored segments. Only this runs when inference values change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.detectors.clean_net.config import Config, Contrast
from trainables.detectors.clean_net.selection import candidates, judge, open_positions
from trainables.detectors.untrimmed_net.detect import run_candidates
from trainables.layers.anchors import clip_to_video, decode_anchors
from trainables.layers.scored import ScoredSegments, likely_classes, suppress_hard, to_detections, whole_videos
from trainables.records import RawOutput


def detect_segments(raw: Sequence[RawOutput], config: Config) -> Detections:
    """Scored segments of whole videos.

    Args:
        raw: one entry per video, tensors ``scp`` (K, T), ``attention_logits`` (T,), ``class_probs`` (K,) and, with a
            generator, ``offsets`` (2, M, T).
        config: with the inference values to use.

    Returns:
        Per video the best ``infer.top``, in falling score; scores may be negative.
    """
    ids = whole_videos(raw, config.key)
    infer = config.infer
    if infer.method == "threshold":
        runs = [
            run_candidates(
                i, r, class_thr=infer.class_thr, tau=infer.tau, cls_weight=infer.cls_weight, smooth=infer.smooth
            )
            for i, r in enumerate(raw)
        ]
        return to_detections(ids, raw, ScoredSegments.of_all(runs), infer.top)
    found = ScoredSegments.of_all([_judged_anchors(i, r, config) for i, r in enumerate(raw)])
    return to_detections(ids, raw, suppress_hard(found, infer.nms), infer.top)


def _judged_anchors(video: int, r: RawOutput, config: Config) -> ScoredSegments:
    """Segments of every anchor at the open positions of the classes that count, with their scores."""
    infer, sel = config.infer, config.sel
    probs = r.tensors["class_probs"].double()
    classes = likely_classes(probs, infer.class_thr)
    scp = r.tensors["scp"][classes, : r.num_samples].double()
    valid = torch.ones_like(scp, dtype=torch.bool)
    segments = _segments(r, config).expand(len(classes), -1, -1, -1)
    scores = judge(scp, valid, segments, _at_test(config))
    is_open = open_positions(
        scp,
        r.tensors["attention_logits"][: r.num_samples].double().expand_as(scp),
        valid,
        theta_scp=sel.theta_scp if infer.theta_scp is None else infer.theta_scp,
        sap_mode=sel.sap_mode,
        theta_sap=sel.theta_sap if infer.theta_sap is None else infer.theta_sap,
    )
    usable = candidates(scores, segments, is_open, per_position_best=sel.per_position_best)
    if infer.min_score is not None:
        usable &= scores >= infer.min_score
    row, anchor, position = torch.nonzero(usable, as_tuple=True)
    label = classes[row]
    score = scores[row, anchor, position] + infer.cls_weight * probs[label]
    return ScoredSegments(torch.full_like(row, video), label, score, segments[row, anchor, position])


def _segments(r: RawOutput, config: Config) -> Tensor:
    """(1, M, T, 2) regressed segments inside the video, or the anchors where nothing regresses them."""
    anchors = torch.tensor(config.gen.anchors, dtype=torch.float64)
    offsets = torch.zeros(2, len(anchors), r.num_samples, dtype=torch.float64)
    if config.gen.train:
        offsets = r.tensors["offsets"][..., : r.num_samples].double()
    return clip_to_video(decode_anchors(offsets[None], anchors), torch.tensor([r.num_samples]))


def _at_test(config: Config) -> Contrast:
    """The evaluator with the values that hold at test."""
    names = ("window", "ratio", "tie", "min_region", "w_edge")
    changes = {name: getattr(config.infer, name) for name in names if getattr(config.infer, name) is not None}
    return dataclasses.replace(config.contrast, **changes)
