"""How long actions of a class are, from annotated segments: AutoLoc's choice among the anchors of a position.

Source: zhengshou/AutoLoc:lib/utils/ops.py (``compute_frame_prior``) and lib/layers/oic_loss.py: a Gaussian per class,
fitted to the lengths of the annotated training segments. Differs: lengths in seconds instead of frames, and the density
as a logarithm, so that lengths far from the mean keep their order. Who uses it reads boundaries.

Letters: B videos, S sequences (a video and a class each), K classes, M anchors, T samples.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from trainables.records import Batch

#: Least standard deviation, seconds: with a single annotated length the nearest one is the likeliest.
_LEAST_STD_S = 1e-3


def flat_prior(num_classes: int) -> Tensor:
    """(K, 2) mean and standard deviation of a prior to which all lengths are alike."""
    return torch.tensor([0.0, float("inf")]).repeat(num_classes, 1)


def fit_lengths(videos: Iterable[Batch], num_classes: int) -> Tensor:
    """Mean and standard deviation (over n, not n - 1) of the annotated lengths of each class.

    Args:
        videos: whole videos with their segments, each once.
        num_classes: K.

    Returns:
        (K, 2) seconds; a class that is annotated nowhere has the flat prior.

    Raises:
        ValueError: a batch without segments.
    """
    labels, lengths = [torch.zeros(0, dtype=torch.long)], [torch.zeros(0, dtype=torch.float64)]
    for batch in videos:
        if batch.segments is None:
            raise ValueError("brm.length_prior: class_gaussian reads annotated segments; the batch has none")
        for own, seconds in zip(batch.segments, batch.seconds_per_sample.tolist(), strict=True):
            labels.append(own.labels.cpu())
            lengths.append((own.segments_grid[:, 1] - own.segments_grid[:, 0]).double().cpu() * seconds)
    label, length = torch.cat(labels), torch.cat(lengths)
    prior = flat_prior(num_classes)
    for k in sorted(set(label.tolist())):
        of_class = length[label == k]
        prior[k, 0], prior[k, 1] = of_class.mean(), of_class.std(correction=0).clamp(min=_LEAST_STD_S)
    return prior


def log_length_density(segments: Tensor, seconds_per_sample: Tensor, prior: Tensor) -> Tensor:
    """Logarithm of the density of segments' lengths, up to a constant of the class.

    Args:
        segments: (S, M, T, 2) in samples.
        seconds_per_sample: (S,).
        prior: (S, 2) mean and standard deviation of the sequence's class, seconds.

    Returns:
        (S, M, T), at most 0.
    """
    seconds, mean, std = (x.to(segments)[:, None, None] for x in (seconds_per_sample, *prior.unbind(dim=1)))
    length = (segments[..., 1] - segments[..., 0]) * seconds
    return -0.5 * ((length - mean) / std).square()
