"""The two streams together.

Letters: B inputs, T coarse and T' fine frames, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.backbones.x3d import X3D, start_convolutions
from trainables.detectors.coarse_fine.fusion import Fusion, LogitFusion, gaussian_alignment
from trainables.detectors.coarse_fine.grid_pool import GridPool, grid_unpool
from trainables.detectors.x3d.network import FrameClassifier

#: Stages of both streams that meet.
STAGES = ("res2", "res3", "res4", "res5")


class CoarseFine(nn.Module):
    """A fine X3D that sees every frame, and a coarse one that samples its clip after res2 and answers.

    With 157 classes the coarse stream with its fusion has 4,532,327 parameters, both together 6,622,313.

    Source: Coarse-Fine Networks (Kahatapitiya and Ryoo 2021, arXiv:2103.01302);
    kkahatapitiya/Coarse-Fine-Networks:x3d_coarse.py.

    Args:
        fine: X3D without fc1.
        coarse: X3D with it.
        num_classes: K.
        dropout: before the classifier and within the fusion at the logits.
        num_halvings: the grid has T halved so often as steps.
        temperature: of the grid, see :class:`trainables.detectors.coarse_fine.grid_pool.GridPool`.
        std_share: of the alignment, see :func:`trainables.detectors.coarse_fine.fusion.gaussian_alignment`.
    """

    def __init__(
        self,
        fine: X3D,
        coarse: X3D,
        num_classes: int,
        *,
        dropout: float = 0.5,
        num_halvings: int = 2,
        temperature: float = 0.5,
        std_share: float = 1 / 8,
    ) -> None:
        super().__init__()
        channels = {name: coarse.endpoints[name].channels for name in STAGES}
        self.fine, self.coarse = fine, coarse
        self.grid_pool = GridPool(channels["res2"], num_halvings=num_halvings, temperature=temperature)
        start_convolutions(self.grid_pool)
        self.fusion = Fusion(channels)
        self.logit_fusion = LogitFusion(fine.endpoints["conv5"].channels, num_classes, dropout=dropout)
        self.fc2 = FrameClassifier(coarse.endpoints["fc1"].channels, num_classes, dropout=dropout)
        self._factor = 2**num_halvings
        self._std_share = std_share

    def fine_maps(self, frames: Tensor) -> dict[str, Tensor]:
        """(B, 3, T', H, W) normalised frames -> maps of res2 to conv5, averaged to the size of the last."""
        found = self.fine.collect(frames, (*STAGES, "conv5"))
        size = found["conv5"].shape[3:]
        return {name: F.adaptive_avg_pool3d(x, (x.shape[2], *size)) for name, x in found.items()}

    def forward(self, frames: Tensor, fine: Mapping[str, Tensor], fine_mask: Tensor, start: Tensor) -> Tensor:
        """Answers of the coarse stream.

        Args:
            frames: (B, 3, T, H, W) the clip, normalised.
            fine: maps of the fine stream.
            fine_mask: (B, T') True = real.
            start: (B,) fine frame at which the clip begins.

        Returns:
            (B, K, T) logits.
        """
        x, points = self.grid_pool(self.coarse.collect(frames, ("res2",))["res2"])
        centres = points * frames.shape[2] + start[:, None]
        alignment = gaussian_alignment(centres, fine_mask, self._std_share)
        maps = self.fusion.maps(fine, alignment)
        x = self.fusion("res2", x, maps)
        for name in STAGES[1:]:
            x = self.fusion(name, self.coarse.get_submodule(name)(x), maps)
        feats = self.coarse.fc1(self.coarse.pool(self.coarse.conv5(x))).flatten(2)
        last = fine["conv5"].mean(dim=(3, 4), keepdim=True)
        logits = self.logit_fusion(self.fc2(feats), last, alignment)
        even = grid_unpool(logits, points, self._factor)
        return F.interpolate(even, frames.shape[2], mode="linear", align_corners=False)
