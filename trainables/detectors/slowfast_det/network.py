"""Fast and Slow: X3D on every frame and X3D on every alpha-th one, joined after each stage and before the head.

Letters: B inputs, T frames, H and W pixels, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.backbones.x3d import X3D, Conv5, Plan, PointwiseRelu, SpatialMean, Stage, Stem, start_convolutions
from trainables.detectors.x3d.network import FrameClassifier

#: After these the fast stream is handed to the slow one.
JOINED = ("stem", "res2", "res3", "res4")


class Lateral(nn.Module):
    """From fast to slow: a convolution over time with the stride between the two rates.

    Source: SlowFast (Feichtenhofer et al. 2019, arXiv:1812.03982), section 3.3, time-strided convolution.

    Args:
        channels: C of the fast stream.
        ratio: channels handed over for each of them.
        alpha: fast frames for each slow one.
        kernel: frames that it sees, odd.
    """

    def __init__(self, channels: int, *, ratio: int, alpha: int, kernel: int) -> None:
        super().__init__()
        out = ratio * channels
        self.conv = nn.Conv3d(channels, out, (kernel, 1, 1), (alpha, 1, 1), (kernel // 2, 0, 0), bias=False)
        self.bn = nn.BatchNorm3d(out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, ratio C, ceil(T / alpha), H, W)."""
        return torch.relu(self.bn(self.conv(x)))


class SlowStream(nn.Module):
    """The slow X3D, whose stages also read what the fast stream hands over.

    Args:
        sizes: of the network.
        ratio: channels handed over for each of its own.
        res2_shortcut_bn: batch normalisation on the shortcut of res2, as in X3D.
        recompute: in training, compute the inside of the blocks again in the backward pass.
    """

    def __init__(self, sizes: Plan, *, ratio: int, res2_shortcut_bn: bool = True, recompute: bool = False) -> None:
        super().__init__()
        self.stem = Stem(sizes.stem)
        channels = sizes.stem
        for i, (out, num_blocks) in enumerate(sizes.stages, start=2):
            stage = Stage(
                (1 + ratio) * channels,
                out,
                num_blocks,
                shortcut_bn=res2_shortcut_bn or i > 2,
                recompute=recompute,
            )
            self.add_module(f"res{i}", stage)
            channels = out
        self.conv5 = Conv5(channels, sizes.conv5)
        self.pool = SpatialMean()
        start_convolutions(self)

    def take(self, source: Mapping[str, Tensor]) -> None:
        """Copy the weights of an X3D; where a convolution also reads the fast stream, those of its own channels.

        Args:
            source: state of an X3D of the same sizes; what it has beyond the stages is left out.
        """
        with torch.no_grad():
            for name, own in self.state_dict().items():
                given = source[name]
                (own if own.shape == given.shape else own[:, : given.shape[1]]).copy_(given)


class SlowFast(nn.Module):
    """Per-frame network of two streams; both have X3D's full width.

    Source: SSDet, section 4.2, names it and Coarse-Fine Networks (Kahatapitiya and Ryoo 2021, arXiv:2103.01302) adapts
    it for detection, without code: ours. With alpha 4, kernel 5 and ratio 2 it takes 54.5 G multiply-adds for 128
    frames of 224 x 224 pixels; 54.31 G is what SSDet's Figure 2 shows.

    Args:
        fast: X3D without fc1.
        slow: of the same sizes.
        num_classes: K.
        fc1_channels: width of the joint layer before the classifier.
        dropout: before the classifier.
        alpha: fast frames for each slow one.
        kernel: frames that a lateral connection sees, odd.
        ratio: channels it hands over for each fast one.
    """

    def __init__(
        self,
        fast: X3D,
        slow: SlowStream,
        num_classes: int,
        *,
        fc1_channels: int = 2048,
        dropout: float = 0.5,
        alpha: int = 4,
        kernel: int = 5,
        ratio: int = 2,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.fast, self.slow = fast, slow
        self.lateral = nn.ModuleDict(
            {name: Lateral(fast.endpoints[name].channels, ratio=ratio, alpha=alpha, kernel=kernel) for name in JOINED}
        )
        self.fc1 = PointwiseRelu(2 * fast.endpoints["pool"].channels, fc1_channels)
        self.fc2 = FrameClassifier(fc1_channels, num_classes, dropout=dropout)
        for part in (self.lateral, self.fc1):
            start_convolutions(part)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) normalised frames -> (B, K, T) logits."""
        fast, slow = frames, frames[:, :, :: self.alpha]
        for (name, quick), calm in zip(self.fast.named_children(), self.slow.children(), strict=True):
            fast, slow = quick(fast), calm(slow)
            if name in JOINED:
                slow = torch.cat([slow, self.lateral[name](fast)], dim=1)
        both = torch.cat([fast, self._at_every_frame(slow, frames.shape[2])], dim=1)
        logits: Tensor = self.fc2(self.fc1(both).flatten(2))
        return logits

    def _at_every_frame(self, slow: Tensor, num_frames: int) -> Tensor:
        """(B, C, ceil(T / alpha), 1, 1) -> (B, C, T, 1, 1) by linear interpolation."""
        dense = F.interpolate(slow.flatten(2), scale_factor=float(self.alpha), mode="linear", align_corners=False)
        return dense[:, :, :num_frames, None, None]
