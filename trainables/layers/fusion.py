"""Several scores of one detection become one: its own, its video's class scores, its actionness.

Products of small probabilities stay what they are: nothing is rounded or rescaled.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def weighted_product(terms: Sequence[Tensor], powers: Sequence[float]) -> Tensor:
    """Product of the terms, each to its power; a term of power 0 does not count, not even where it is 0.

    Args:
        terms: tensors of broadcastable shapes, not negative.
        powers: one for each term, 0 or more.

    Raises:
        ValueError: no terms, another number of powers, a negative power, or a negative term.
    """
    _check(terms, powers, "power")
    for k, term in enumerate(terms):
        if bool((term < 0).any()):
            raise ValueError(f"term {k} has the value {float(term.min())}; a factor is 0 or more")
    factors = [term if power == 1.0 else term**power for term, power in zip(terms, powers, strict=True)]
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product


def weighted_geometric_mean(terms: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """:func:`weighted_product` with the weights divided by their sum: scores keep their range.

    Args:
        terms: tensors of broadcastable shapes, not negative.
        weights: one for each term, 0 or more, not all 0.

    Raises:
        ValueError: as :func:`weighted_product`, or all weights are 0.
    """
    return weighted_product(terms, _shares(terms, weights))


def weighted_mean(terms: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Arithmetic mean of the terms.

    Args:
        terms: tensors of broadcastable shapes.
        weights: one for each term, 0 or more, not all 0.

    Raises:
        ValueError: no terms, another number of weights, a negative weight, or all are 0.
    """
    total = torch.zeros((), dtype=terms[0].dtype, device=terms[0].device) if terms else torch.zeros(())
    for term, share in zip(terms, _shares(terms, weights), strict=True):
        total = total + term * share
    return total


def with_video_classes(video: Tensor, class_scores: Tensor, top: int) -> tuple[Tensor, Tensor, Tensor]:
    """Class-agnostic proposals take the most likely classes of their video.

    Args:
        video: (N,) int64 row of ``class_scores`` that each proposal belongs to.
        class_scores: (V, K) of the video classifier.
        top: classes of each video, at most K.

    Returns:
        (N * top,) proposal, class id and class score of each detection; proposals in their order, their classes in
        falling score, of equal scores the lower id first. How the class score joins the proposal's is the caller's.

    Raises:
        ValueError: ``top`` is not from 1 to K, or a proposal names a video that has no scores.
    """
    num_videos, num_classes = class_scores.shape
    if not 1 <= top <= num_classes:
        raise ValueError(f"top: {top} must be from 1 to the number of classes, {num_classes}")
    bad = (video < 0) | (video >= num_videos)
    if bool(bad.any()):
        row = int(torch.nonzero(bad)[0])
        raise ValueError(f"video: row {row} is {int(video[row])}, but there are class scores of {num_videos} videos")
    score, label = torch.sort(class_scores, dim=1, descending=True, stable=True)
    proposal = torch.repeat_interleave(torch.arange(len(video), device=video.device), top)
    return proposal, label[video, :top].flatten(), score[video, :top].flatten()


def _check(terms: Sequence[Tensor], weights: Sequence[float], word: str) -> None:
    if not terms or len(terms) != len(weights):
        raise ValueError(f"{len(terms)} terms and {len(weights)} {word}s: one {word} for each of at least one term")
    for k, weight in enumerate(weights):
        if not 0.0 <= weight < float("inf"):
            raise ValueError(f"{word} {k} is {weight}; it must be 0 or more")


def _shares(terms: Sequence[Tensor], weights: Sequence[float]) -> list[float]:
    _check(terms, weights, "weight")
    total = sum(weights)
    if total == 0.0:
        raise ValueError("all weights are 0: nothing is left to average")
    return [weight / total for weight in weights]
