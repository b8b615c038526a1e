"""The module of the task.

Letters: B inputs, R regions, P positive regions, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from trainables.aux_tasks.lce.config import Config
from trainables.aux_tasks.lce.voting import stored_voters, voted_detections
from trainables.contracts import RoiHost, TaskBase
from trainables.detections import Detections
from trainables.layers.joint_rows import joint_rows
from trainables.layers.offsets import decode_ends, encode_ends
from trainables.losses.gaussian_kl import deviation, gaussian_kl
from trainables.records import Batch, Outputs, RawOutput, RoiView


class Lce(TaskBase):
    """Predicts start and end of positive regions together with their variances.

    Outputs are offsets relative to the region's length, divided by ``std``; training starts at variance 1, where the
    loss is that of smooth-L1 regression.

    Args:
        host: whose regions these are.
        num_classes: K.
        settings: of the task.
    """

    def __init__(self, *, host: RoiHost, num_classes: int, settings: Config) -> None:
        super().__init__()
        self._num_classes = num_classes
        self._settings = settings
        self._host = (host,)  # in a tuple, or it would count as a part of the task
        self._per_class = host.offsets_per_class if settings.per_class is None else settings.per_class
        num_outputs = 2 * num_classes if self._per_class else 2
        if settings.mean == "own":
            self.mean = _linear(host.roi_channels, num_outputs, std=1e-3)
        self.log_variance = _linear(host.roi_channels, num_outputs, std=1e-4)

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``lce``: Eq. (7) as a sum over both ends of the positive regions, divided by N.

        Logged beside it: the mean deviation of the positive regions' ends (in units of ``std``), and its correlation
        with the size of the error (0 where it is not defined).

        Raises:
            ValueError: the host offers no regions, or no targets for them.
        """
        view = outputs.rois
        if view is None or view.labels is None or view.matched_gt is None:
            raise ValueError("lce needs the host's rois with labels and matched segments")
        positive = torch.nonzero(view.labels > 0)[:, 0]
        log_variance = self._of_label(self.log_variance, view, positive)
        target = encode_ends(view.rois[positive, 1:], view.matched_gt[positive])
        error = self._mean(outputs, view, positive) - target / self._settings.std
        total = gaussian_kl(error, log_variance, tail=self._settings.tail).sum()
        counted = self._counted(view.labels)
        sigma = deviation(log_variance.detach())
        return {
            "lce": total / counted.sum().clamp(min=1),
            "lce_sigma": sigma.sum() / max(sigma.numel(), 1),
            "lce_sigma_error_corr": _correlation(
                joint_rows(sigma.flatten()), joint_rows(error.detach().abs().flatten())
            ),
        }

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """N, and positive regions; the correlation is made of joint rows."""
        if outputs.rois is None or outputs.rois.labels is None:
            raise ValueError("lce needs the host's rois with labels")
        labels = outputs.rois.labels
        positives = float((labels > 0).sum())
        counted = float(self._counted(labels).sum())
        return {"lce": counted, "lce_sigma": positives}

    def _counted(self, labels: Tensor) -> Tensor:
        """(R,) True for the N regions that the loss is divided by."""
        return labels > 0 if self._settings.normaliser == "positives" else labels >= 0

    def _mean(self, outputs: Outputs, view: RoiView, rows: Tensor) -> Tensor:
        """(P, 2) predicted offsets in units of ``std``."""
        if self._settings.mean == "own":
            return self._of_label(self.mean, view, rows)
        (host,) = self._host
        offsets = host.roi_offsets(outputs)[rows]
        return (offsets.detach() if self._settings.stop_gradient else offsets) / self._settings.std

    def _of_label(self, head: nn.Module, view: RoiView, rows: Tensor) -> Tensor:
        """(P, 2) outputs of some regions for their labels' classes."""
        assert view.labels is not None, "checked before"
        feats = view.feats[rows]
        every = head(feats.detach() if self._settings.stop_gradient else feats)
        return self._select(every, view.labels[rows] - 1)

    def _select(self, every: Tensor, classes: Tensor) -> Tensor:
        """(P, 2) out of (P, 2 K) or (P, 2); classes from 0."""
        if not self._per_class:
            return every
        by_class = every.reshape(len(every), self._num_classes, 2)
        return by_class[torch.arange(len(classes), device=classes.device), classes]

    def raw(self, outputs: Outputs) -> Mapping[str, Tensor]:
        """For voting: each region's predicted segment, its deviations and its most likely action."""
        if not self._settings.voting:
            return {}
        if outputs.rois is None:
            raise ValueError("lce needs the host's rois")
        view = outputs.rois
        labels = view.logits[:, -self._num_classes :].argmax(dim=1)  # background, where there is one, comes first
        offsets = self._select(self.mean(view.feats), labels) * self._settings.std
        sigma = deviation(self._select(self.log_variance(view.feats), labels)) * self._settings.std
        segments = view.rois[:, 1:]
        lengths = segments[:, 1:] - segments[:, :1]
        return stored_voters(
            view.rois[:, 0].long(),
            decode_ends(segments, offsets).detach(),
            (sigma * lengths).detach(),
            labels,
            num_inputs=len(outputs.valid_mask),
        )

    def rescore(self, detections: Detections, raw: Sequence[RawOutput], config: Config) -> Detections:
        """Detections at the mean of their neighbours, where ``voting`` is on; scores stay."""
        if not config.voting:
            return detections
        return voted_detections(detections, raw, sigma_t=config.voting_sigma_t)


def _linear(inputs: int, outputs: int, *, std: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, of two lists; 0 where one of them does not vary."""
    if len(a) < 2:
        return a.new_zeros(())
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    norm = (a.square().sum() * b.square().sum()).sqrt()
    return torch.where(norm > 0, (a * b).sum() / norm.clamp(min=torch.finfo(norm.dtype).tiny), 0.0).float()
