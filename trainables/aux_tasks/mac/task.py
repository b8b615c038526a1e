"""The module of the task.

Letters: B inputs, M windows, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainables.aux_tasks.mac.config import Config
from trainables.aux_tasks.mac.labels import soft_labels
from trainables.aux_tasks.mac.windows import NUM_DRAWS, count_windows, draw_windows
from trainables.contracts import RoiHost, TaskBase
from trainables.losses.soft_labels import soft_cross_entropy
from trainables.records import Batch, Outputs


class Mac(TaskBase):
    """Classifies windows of the host's shared map by the actions they hold.

    Args:
        host: pools windows, and lends its trunk or a copy of it.
        num_classes: K.
        settings: of the task.
    """

    def __init__(self, *, host: RoiHost, num_classes: int, settings: Config) -> None:
        super().__init__()
        self.num_classes = num_classes
        self._settings = settings
        self._host = (host,)  # in a tuple, or it would count as a part of the task
        self._min_len = settings.min_len * host.samples_per_cell
        if settings.trunk == "own":
            self.trunk = host.new_trunk()
        self.classify = nn.Linear(host.roi_channels, num_classes + 1)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def segment_logits(self, outputs: Outputs, segments: Tensor) -> Tensor:
        """Logits t of any segments.

        Args:
            outputs: of the host.
            segments: (M, 3) input index, start, end in temporal samples of the input.

        Returns:
            (M, K + 1), background first.
        """
        (host,) = self._host
        pooled = host.pool(outputs, segments)
        stop = self._settings.stop_gradient
        if self._settings.trunk == "own":
            features = self.trunk(pooled.detach() if stop else pooled)
        else:
            shared = host.roi_trunk(pooled)
            features = shared.detach() if stop else shared
        logits: Tensor = self.classify(features)
        return logits

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``mac``: Eq. (6), mean over all windows of the batch; ``mac_divergence``: what of it could be learnt away.

        Inputs without segments contribute no windows.

        Raises:
            ValueError: the host offers no regions, or the batch no segments.
        """
        if outputs.rois is None or batch.segments is None:
            raise ValueError("mac needs the host's rois, and annotated segments in the batch")
        windows, targets = self._draw(batch)
        if len(targets) == 0:
            # nothing to learn from, but every process has to have the same graph
            nothing = self.segment_logits(outputs, outputs.valid_mask.new_zeros((1, 3), dtype=torch.float32)).sum() * 0
            return {"mac": nothing, "mac_divergence": nothing.detach()}
        logits = self.segment_logits(outputs, windows)
        loss, divergence = soft_cross_entropy(logits, targets.to(logits.dtype))
        return {"mac": loss, "mac_divergence": divergence.detach()}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """Both are means over windows."""
        assert batch.segments is not None, "checked before"
        settings = self._settings
        number = sum(
            count_windows(own.segments_grid, length, sampler=settings.sampler, num_windows=settings.windows)
            for own, length in zip(batch.segments, batch.valid_mask.sum(dim=1).tolist(), strict=True)
            if len(own.labels)
        )
        return dict.fromkeys(("mac", "mac_divergence"), float(number))

    def _draw(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(M, 3) windows of all inputs and their (M, K + 1) labels."""
        assert batch.segments is not None, "checked before"
        lengths = batch.valid_mask.sum(dim=1).tolist()
        device = batch.valid_mask.device
        windows = [torch.zeros(0, 3, device=device)]
        targets = [torch.zeros(0, self.num_classes + 1, dtype=torch.float64, device=device)]
        settings = self._settings
        # a row for every input, so that its windows do not depend on which others are with it
        draws = torch.rand(len(lengths), NUM_DRAWS, settings.windows)
        for i, (annotated, length) in enumerate(zip(batch.segments, lengths, strict=True)):
            if len(annotated.labels) == 0:
                continue
            own = draw_windows(
                annotated.segments_grid,
                float(length),
                draws[i],
                sampler=settings.sampler,
                min_len=self._min_len,
            )
            windows.append(torch.cat([own.new_full((len(own), 1), i), own], dim=1))
            targets.append(
                soft_labels(
                    own,
                    annotated.segments_grid,
                    annotated.labels,
                    num_classes=self.num_classes,
                    transform=settings.label,
                    normaliser=settings.normaliser,
                )
            )
        return torch.cat(windows), torch.cat(targets)
