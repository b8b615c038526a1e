"""The module of the task.

Letters: B inputs, R regions, K classes, K_x columns of the host's logits, N_t windows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from trainables.aux_tasks.mac.task import Mac
from trainables.aux_tasks.refine.config import Config
from trainables.aux_tasks.refine.windows import windows_scaled, windows_to_clip
from trainables.contracts import RoiHost, TaskBase
from trainables.records import Batch, Outputs, RoiView


class Refine(TaskBase):
    """x' = W [x, t_1, ..., t_Nt] + b + x, with t the logits of task ``mac`` on windows around a region.

    Args:
        host: whose regions these are.
        num_classes: K.
        settings: of the task.
    """

    def __init__(self, *, host: RoiHost, num_classes: int, settings: Config) -> None:
        super().__init__()
        self._settings = settings
        self._segment_logits: Callable[[Outputs, Tensor], Tensor] | None = None
        self._host = (host,)  # in a tuple, or it would count as a part of the task
        self.correct = nn.Linear(host.num_logits + settings.num_windows * (num_classes + 1), host.num_logits)
        nn.init.trunc_normal_(self.correct.weight, std=0.01)
        nn.init.zeros_(self.correct.bias)

    def meet(self, tasks: Mapping[str, TaskBase]) -> None:
        """Take over the classifier of windows."""
        mac = tasks["mac"]
        if not isinstance(mac, Mac):
            raise TypeError(f"refine needs the task 'mac' of its own paper, got {type(mac).__name__}")
        self._segment_logits = mac.segment_logits

    def replaces(self) -> Collection[str]:
        """The host's classification loss where only the corrected logits are trained on."""
        (host,) = self._host
        return (host.classification_loss_name,) if self._settings.loss == "refined_only" else ()

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """``refine``: the host's classification loss on the corrected logits.

        Raises:
            ValueError: the host offers no regions, or no labels for them.
        """
        if outputs.rois is None or outputs.rois.labels is None:
            raise ValueError("refine needs the host's rois with labels")
        (host,) = self._host
        corrected = self._corrected(outputs, outputs.rois, batch)
        return {"refine": host.classification_loss(corrected, outputs.rois.labels)}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """As of the host's classification loss."""
        (host,) = self._host
        counts, name = host.loss_counts(outputs, batch), host.classification_loss_name
        return {"refine": counts[name]} if name in counts else {}

    def refine(self, outputs: Outputs, batch: Batch) -> Outputs:
        """The host's outputs with corrected class logits."""
        if outputs.rois is None:
            raise ValueError("refine needs the host's rois")
        (host,) = self._host
        return host.with_logits(outputs, self._corrected(outputs, outputs.rois, batch))

    def _corrected(self, outputs: Outputs, view: RoiView, batch: Batch) -> Tensor:
        """(R, K_x) Eq. (5)."""
        evidence = torch.cat([view.logits, self._window_logits(outputs, view, batch)], dim=1)
        correction: Tensor = self.correct(evidence.detach() if self._settings.detach else evidence)
        return correction + view.logits

    def _window_logits(self, outputs: Outputs, view: RoiView, batch: Batch) -> Tensor:
        """(R, N_t (K + 1)) logits of the windows in their fixed order."""
        if self._segment_logits is None:
            raise ValueError("refine needs task 'mac' beside it")
        owner, segments = view.rois[:, 0].long(), view.rois[:, 1:]
        clip_len = batch.valid_mask.sum(dim=1).to(segments.dtype)
        if self._settings.windows == "scaled":
            windows = windows_scaled(segments, clip_len[owner], scales=self._settings.scales)
            return self._logits_of(outputs, owner, windows)
        windows = windows_to_clip(segments, clip_len[owner], num_windows=self._settings.n_t)
        if self._settings.n_t == 1:
            return self._logits_of(outputs, owner, windows)
        near = self._logits_of(outputs, owner, windows[:, :-1])
        # the last window is that of the whole input: once for all regions of it
        every = torch.arange(len(clip_len), device=owner.device)
        whole = self._logits_of(outputs, every, torch.stack([torch.zeros_like(clip_len), clip_len], dim=1)[:, None])
        return torch.cat([near, whole[owner]], dim=1)

    def _logits_of(self, outputs: Outputs, owner: Tensor, windows: Tensor) -> Tensor:
        """(R, N (K + 1)) logits of (R, N, 2) windows of the inputs ``owner``."""
        assert self._segment_logits is not None, "checked before"
        index = owner[:, None, None].expand(-1, windows.shape[1], 1).to(windows.dtype)
        logits = self._segment_logits(outputs, torch.cat([index, windows], dim=2).flatten(0, 1))
        return logits.reshape(len(owner), -1)
