"""Inference of KT-MGFN (III-F): from raw outputs to scored segments. Only this runs when inference values change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.detections import Detections
from trainables.detectors.kt_mgfn.config import Config
from trainables.detectors.kt_mgfn.length_prior import log_length_density
from trainables.detectors.kt_mgfn.selection import select
from trainables.layers.anchors import clip_to_video, decode_anchors
from trainables.layers.integral import mean_between
from trainables.layers.nms import suppress
from trainables.records import RawOutput

#: Without boundary regression, classes below this probability give no detection
#: (wanglimin/UntrimmedNet:matlab/thumos_detection.m).
THRESHOLD_CLASS_PROB = 0.1


@dataclass(frozen=True)
class _Scored:
    """Candidates of all videos, flat: (n,) video, label, score and (n, 2) ends in samples."""

    video: Tensor
    label: Tensor
    score: Tensor
    ends: Tensor


def detect_segments(raw: Sequence[RawOutput], config: Config) -> Detections:
    """Scored segments of whole videos.

    Args:
        raw: one entry per video, tensors ``cas`` (K, T), ``class_probs`` (K,) and, with boundary regression,
            ``offsets`` (2, M, T), and with a length prior ``length_prior`` (K, 2).
        config: with the inference values to use.

    Returns:
        Per video the best ``post.top``, in falling score.
    """
    ids = tuple(r.video_id for r in raw)
    if len(set(ids)) != len(ids):
        raise ValueError("kt_mgfn reads whole videos; a video has more than one input")
    find = _by_regression if config.brm.enabled else _by_threshold
    parts = [find(i, r, config) for i, r in enumerate(raw)]
    if not parts:
        return _empty(ids)
    scored = _Scored(*(torch.cat([getattr(p, name) for p in parts]) for name in ("video", "label", "score", "ends")))
    kept, score = suppress(
        scored.ends,
        scored.score,
        scored.video * (int(scored.label.max()) + 1 if len(scored.label) else 1) + scored.label,
        decay="truncated_gaussian",
        tiou_threshold=config.post.theta_nms,
        sigma=config.post.epsilon,
        max_num=config.post.top,
    )
    return _to_seconds(ids, raw, scored.video[kept], scored.label[kept], score, scored.ends[kept], config.post.top)


def _gated(r: RawOutput, least: float) -> tuple[Tensor, Tensor, Tensor]:
    """CAS (double) and probability of the classes that are probable enough, and their ids."""
    probs = r.tensors["class_probs"].double()
    classes = torch.nonzero(probs >= least)[:, 0]
    return r.tensors["cas"][classes, : r.num_samples].double(), probs[classes], classes


def _by_regression(video: int, r: RawOutput, config: Config) -> _Scored:
    cas, probs, classes = _gated(r, config.post.test_cls_thr)
    anchors = torch.tensor(config.brm.anchors, dtype=torch.float64)
    offsets = r.tensors["offsets"][..., : r.num_samples].double()
    segments = clip_to_video(decode_anchors(offsets[None], anchors), torch.tensor([r.num_samples]))
    segments = segments.expand(len(classes), -1, -1, -1)
    log_prior = None
    if config.brm.length_prior != "none":
        seconds = torch.full((len(classes),), r.seconds_per_sample, dtype=torch.float64)
        log_prior = log_length_density(segments, seconds, r.tensors["length_prior"][classes])
    found = select(
        cas,
        segments,
        cas_thr=config.brm.cas_thr if config.post.cas_thr is None else config.post.cas_thr,
        oic_keep=config.brm.oic_keep if config.post.oic_keep is None else config.post.oic_keep,
        gamma=config.brm.gamma if config.post.gamma is None else config.post.gamma,
        outer_min=config.brm.outer_min,
        oic_mode=config.brm.oic_mode if config.post.oic_mode is None else config.post.oic_mode,
        log_prior=log_prior,
    )
    # rounding may put a loss above 1, and an unbounded CAS its mean below 0
    act = mean_between(cas[found.sequence], found.ends[:, :1], found.ends[:, 1:])[:, 0].clamp(min=0.0)
    terms = {"act": act, "class": probs[found.sequence], "oic": (1.0 - found.oic).clamp(min=0.0)}
    score = torch.stack([terms[name] for name in config.post.score_terms]).prod(dim=0)
    return _Scored(torch.full_like(found.sequence, video), classes[found.sequence], score, found.ends)


def _by_threshold(video: int, r: RawOutput, config: Config) -> _Scored:
    """Runs of the CAS above a threshold, for a network without boundary regression."""
    cas, probs, classes = _gated(r, max(config.post.test_cls_thr, THRESHOLD_CLASS_PROB))
    above = torch.nn.functional.pad((cas >= config.post.tau_cas).to(torch.int8), (1, 1))
    change = above.diff(dim=1)
    row, start = torch.nonzero(change == 1, as_tuple=True)
    _, end = torch.nonzero(change == -1, as_tuple=True)
    ends = torch.stack([start, end], dim=1).double()
    act = mean_between(cas[row], ends[:, :1], ends[:, 1:])[:, 0]
    return _Scored(torch.full_like(row, video), classes[row], act * probs[row], ends)


def _to_seconds(
    ids: tuple[str, ...], raw: Sequence[RawOutput], video: Tensor, label: Tensor, score: Tensor, ends: Tensor, top: int
) -> Detections:
    scale = torch.tensor([r.seconds_per_sample for r in raw], dtype=torch.float64)[video, None]
    start = torch.tensor([r.start_s for r in raw], dtype=torch.float64)[video, None]
    limit = torch.tensor([r.duration_s for r in raw], dtype=torch.float64)[video, None]
    times = torch.minimum((start + ends * scale).clamp(min=0.0), limit).numpy()
    numbers = {"video": video.numpy(), "label": label.numpy(), "score": score.numpy()}
    order = np.lexsort((numbers["label"], -numbers["score"], numbers["video"]))
    order = order[times[order, 1] > times[order, 0]]
    counts = np.bincount(numbers["video"][order], minlength=len(ids))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[rank < top]
    return Detections(
        video_ids=ids,
        video=numbers["video"][order],
        segments_s=times[order],
        labels=numbers["label"][order],
        scores=numbers["score"][order],
    )


def _empty(ids: tuple[str, ...]) -> Detections:
    none = np.zeros(0, np.int64)
    return Detections(ids, none, np.zeros((0, 2)), none, np.zeros(0))
