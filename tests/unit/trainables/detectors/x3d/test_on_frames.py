"""Frames to logits: the colours' scale, padding, neighbours in the batch, parts of long videos."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trainables.detectors.x3d.on_frames import OnFrames
from trainables.detectors.x3d.settings import NORMALISATIONS


class Running(nn.Module):
    """Every frame's logits are sums of the colours up to it: what lies behind a frame matters to those after it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.seen.append(frames)
        return frames.mean(dim=(3, 4))[:, :2].flip(2).cumsum(dim=2).flip(2)


def network(part_length: int = 1000, normalisation: str = "charades") -> tuple[OnFrames, Running]:
    inner = Running()
    mean, std = NORMALISATIONS[normalisation]
    return OnFrames(inner, mean=mean, std=std, part_length=part_length), inner


def clips(*lengths: int) -> tuple[Tensor, Tensor]:
    frames = torch.randint(0, 256, (len(lengths), 3, max(lengths), 4, 4), generator=torch.Generator().manual_seed(0))
    return frames.to(torch.uint8), torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_colours_are_brought_to_mean_0_and_deviation_1() -> None:
    for name, first in (
        ("charades", (1 - 0.413) / 0.131),
        ("kinetics", (1 - 0.4339) / 0.152),
        ("slowfast", 0.55 / 0.225),
    ):
        model, inner = network(normalisation=name)
        model(torch.full((1, 3, 1, 2, 2), 255, dtype=torch.uint8), torch.ones(1, 1, dtype=torch.bool))
        assert float(inner.seen[0][0, 0, 0, 0, 0]) == pytest.approx(first, rel=1e-5)
    assert not network()[0].state_dict(), "what is configured is not stored with the weights"


def test_training_clips_go_through_together() -> None:
    model, inner = network()
    frames, mask = clips(5, 3)
    assert model.train()(frames, mask).shape == (2, 2, 5)
    assert [x.shape for x in inner.seen] == [(2, 3, 5, 4, 4)]


def test_a_video_is_scored_as_if_it_were_alone() -> None:
    model, inner = network()
    model.eval()
    frames, mask = clips(6, 3, 1)
    together = model(frames, mask)
    assert [x.shape[2] for x in inner.seen] == [6, 3, 1]
    for row, length in enumerate((6, 3, 1)):
        alone = model(frames[row : row + 1, :, :length], mask[row : row + 1, :length])
        assert torch.equal(together[row : row + 1, :, :length], alone)
        assert (together[row, :, length:] == 0).all()


def test_long_videos_are_worked_on_in_parts() -> None:
    model, inner = network(part_length=4)
    model.eval()
    frames, mask = clips(10)
    found = model(frames, mask)
    assert [x.shape[2] for x in inner.seen] == [4, 4, 2]
    whole, _ = network()
    for start in (0, 4, 8):
        part = whole.eval()(frames[:, :, start : start + 4], mask[:, start : start + 4])
        assert torch.equal(found[:, :, start : start + 4], part)


def test_other_shapes_are_refused() -> None:
    model, _ = network()
    for shape in ((1, 3, 4, 4), (1, 5, 2, 4, 4)):
        with pytest.raises(ValueError, match="X3D takes"):
            model(torch.zeros(shape), torch.ones(1, 2, dtype=torch.bool))
