"""Coarse-Fine as a detector: in training the coarse stream answers for a clip of what the fine one sees.

Letters: B inputs, T frames, L frames of the clip, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.detectors.coarse_fine.config import Config
from trainables.detectors.coarse_fine.network import CoarseFine
from trainables.detectors.frame_level.model import FrameLevelDetector
from trainables.detectors.x3d.on_frames import OnFrames
from trainables.detectors.x3d.weights import open_trunk, open_x3d
from trainables.records import Batch, Outputs


class Streams(OnFrames):
    """Both streams on batches of frames; arguments as of :class:`trainables.detectors.x3d.on_frames.OnFrames`."""

    inner: CoarseFine

    def of_clips(self, frames: Tensor, valid_mask: Tensor) -> Tensor:
        """The coarse stream on everything that the fine one sees."""
        starts = torch.zeros(len(frames), dtype=torch.long, device=frames.device)
        return self.of_runs(frames, valid_mask, starts, frames.shape[2])

    def of_runs(self, frames: Tensor, valid_mask: Tensor, starts: Tensor, length: int) -> Tensor:
        """Answers for one run of each input.

        Args:
            frames: (B, 3, T, H, W), normalised.
            valid_mask: (B, T) True = real.
            starts: (B,) first frame of the run, such that it ends within the T frames.
            length: L.

        Returns:
            (B, K, L).
        """
        index = starts[:, None] + torch.arange(length, device=frames.device)
        rows = torch.arange(len(frames), device=frames.device)[:, None]
        clips = frames.transpose(1, 2)[rows, index].transpose(1, 2)
        logits: Tensor = self.inner(clips, self._fine(frames, valid_mask), valid_mask, starts)
        return logits

    def _fine(self, frames: Tensor, valid_mask: Tensor) -> dict[str, Tensor]:
        """Maps of the fine stream; while it does not learn, every video has them from its real frames alone."""
        if self.inner.fine.training:
            return self.inner.fine_maps(frames)
        counts = valid_mask.sum(dim=1).tolist()
        own = [self.inner.fine_maps(video[None, :, :n]) for video, n in zip(frames, counts, strict=True)]
        rest = [(0, 0, 0, 0, 0, frames.shape[2] - n) for n in counts]
        return {
            name: torch.cat([F.pad(maps[name], missing) for maps, missing in zip(own, rest, strict=True)])
            for name in own[0]
        }


class CoarseFineDetector(FrameLevelDetector):
    """Learns from a random clip of each input, and answers for all of it at test.

    Args:
        network: both streams.
        clip_length: L.
    """

    network: Streams

    def __init__(self, network: Streams, *, clip_length: int) -> None:
        super().__init__(network, "frames")
        self._clip_length = clip_length

    def forward(self, batch: Batch) -> Outputs:
        """The view ``frame_logits``; in training the frames outside the clip count as not valid.

        Raises:
            ValueError: the batch does not hold frames.
        """
        if not self.training or batch.frames is None:
            return super().forward(batch)
        mask, frames = batch.valid_mask, self.network.normalised(batch.frames)
        num_inputs, num_frames = mask.shape
        length = min(self._clip_length, num_frames)
        starts = random_starts(mask, length)
        found = self.network.of_runs(frames, mask, starts, length).transpose(1, 2)
        index = starts[:, None] + torch.arange(length, device=mask.device)
        logits = found.new_zeros(num_inputs, num_frames, found.shape[2])
        logits = logits.scatter(1, index[:, :, None].expand_as(found), found)
        inside = torch.zeros_like(mask).scatter(1, index, True)
        return Outputs(mask & inside, frame_logits=logits, raw={"frame_logits": logits.detach()})

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """Of the frames of the clips.

        Raises:
            ValueError: an unknown name, or a batch without frame labels.
        """
        return super().losses(outputs, replace(batch, valid_mask=outputs.valid_mask), active)

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """Frames of the clips, but for ``cls``."""
        return super().loss_counts(outputs, replace(batch, valid_mask=outputs.valid_mask))


def random_starts(valid_mask: Tensor, length: int) -> Tensor:
    """A first frame for a run of each input, every one that fits into its real frames alike; 0 where none fits.

    An input's draw does not depend on what else is in the batch.

    Args:
        valid_mask: (B, T) True = real; real frames come first.
        length: of the run.

    Returns:
        (B,) int64.
    """
    drawn = torch.rand(len(valid_mask), 1)[:, 0].to(valid_mask.device)
    return (drawn * ((valid_mask.sum(dim=1) - length).clamp(min=0) + 1)).long()


def build(
    config: Config, num_classes: int, normalisation: tuple[tuple[float, ...], tuple[float, ...]]
) -> CoarseFineDetector:
    """The detector, its streams from checkpoints where there are some.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: a checkpoint does not fit X3D of these sizes.
    """
    inner = CoarseFine(
        open_trunk(config.backbone, config.fine.weights),
        open_x3d(config.backbone, config.coarse.weights),
        num_classes,
        dropout=config.dropout,
        num_halvings=config.coarse.num_halvings,
        temperature=config.coarse.grid_temp,
        std_share=config.coarse.gauss_std_frac,
    )
    mean, std = normalisation
    part_length = min(config.part_length, config.fine.length)
    return CoarseFineDetector(
        Streams(inner, mean=mean, std=std, part_length=part_length), clip_length=config.clip_length
    )
