"""What every backbone is: a chain of named endpoints on (B, C, T, H, W) frames.

Letters: B clips, C channels, T frames, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Endpoint:
    """Where in the video the outputs of an endpoint lie.

    Attributes:
        channels: C of its output.
        stride_frames: input frames between two outputs.
        stride_pixels: input pixels between two outputs; 0 = the whole image is pooled.
        centre_frames: centre of the receptive field of output 0, in frames, where frame f covers [f, f + 1); output i
            is centred ``stride_frames * i`` later.
    """

    channels: int
    stride_frames: int
    stride_pixels: int
    centre_frames: float


class Backbone(nn.Module):
    """A chain of children, each an endpoint, in the order of registration.

    Args:
        endpoints: name of a child -> its facts, in the same order.
        in_channels: C of the input.
        multiple_of: T, H and W of the input must be multiples of these.
    """

    def __init__(
        self, endpoints: Mapping[str, Endpoint], *, in_channels: int, multiple_of: tuple[int, int, int] = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.endpoints = dict(endpoints)
        self.in_channels = in_channels
        self.multiple_of = multiple_of

    def forward(self, frames: Tensor) -> Tensor:
        """Features of the last endpoint.

        Args:
            frames: (B, C, T, H, W), preprocessed.

        Returns:
            (B, C', T', H', W').

        Raises:
            ValueError: another shape.
        """
        last = next(reversed(self.endpoints))
        return self.collect(frames, (last,))[last]

    def collect(self, frames: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Features of several endpoints in one pass; nothing beyond the last of them is computed.

        Args:
            frames: (B, C, T, H, W), preprocessed.
            names: of endpoints.

        Returns:
            Name -> (B, C', T', H', W').

        Raises:
            ValueError: an endpoint that is not there, or frames of another shape.
        """
        unknown = [name for name in names if name not in self.endpoints]
        if unknown or not names:
            known = ", ".join(self.endpoints)
            raise ValueError(f"endpoint: {unknown or 'none'} asked of {type(self).__name__}; it has {known}")
        self._check(frames)
        return self._run(frames, names)

    def _run(self, x: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, child in self.named_children():
            x = child(x)
            if name in names:
                found[name] = x
            if len(found) == len(set(names)):
                break
        return found

    def _check(self, frames: Tensor) -> None:
        who = type(self).__name__
        if frames.ndim != 5 or frames.shape[1] != self.in_channels:
            raise ValueError(f"frames: {who} takes (B, {self.in_channels}, T, H, W), got {tuple(frames.shape)}")
        sizes = zip("THW", frames.shape[2:], self.multiple_of, strict=True)
        bad = [f"{axis} = {size} is no multiple of {m}" for axis, size, m in sizes if size == 0 or size % m]
        if bad:
            raise ValueError(f"frames: {', '.join(bad)}, as {who} needs")
