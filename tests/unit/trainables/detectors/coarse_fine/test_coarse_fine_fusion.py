"""Fusion of the streams against a loop over frames, points and pixels of the repeated maps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.detectors.coarse_fine.fusion import Fusion, LogitFusion, Reweight, gaussian_alignment


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_golden_alignment_of_eight_frames() -> None:
    found = gaussian_alignment(torch.tensor([[3.0]], dtype=torch.float64), torch.ones(1, 8, dtype=torch.bool), 1 / 8)
    golden = [0.011109, 0.135335, 0.606531, 1.0, 0.606531, 0.135335, 0.011109, 0.000335]
    assert found.flatten().tolist() == pytest.approx(golden, abs=5e-7)


def test_alignment_sees_real_frames_only_and_its_width_follows_their_number() -> None:
    mask = torch.arange(8)[None] < torch.tensor([[8], [4]])
    centres = torch.tensor([[2.0, 7.5], [2.0, 7.5]], dtype=torch.float64)
    found = gaussian_alignment(centres, mask, 1 / 8)
    assert found.amax(dim=1).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert (found[1, 4:] == 0).all()
    alone = gaussian_alignment(centres[1:], mask[1:, :4], 1 / 8)
    assert torch.equal(found[1:, :4], alone)
    # with a deviation of half a frame, one frame away from the centre
    assert found[1, 1, 0].item() == pytest.approx(math.exp(-2.0))


@pytest.mark.parametrize(
    ("fine", "coarse", "parameters"),
    [(24, 24, 3_025), (48, 48, 11_809), (96, 96, 46_657), (192, 192, 185_473), (432, 157, 697_563)],
)
def test_parameters_of_a_level(fine: int, coarse: int, parameters: int) -> None:
    with torch.device("meta"):
        assert count(Reweight(fine, coarse)) == parameters


def test_parameters_of_the_mixing() -> None:
    with torch.device("meta"):
        fusion = Fusion({"res2": 24, "res3": 48, "res4": 96, "res5": 192})
    found = [count(fusion.shift[name]) + count(fusion.scale[name]) for name in fusion.levels]
    assert found == [17_328, 34_656, 69_312, 138_624]


def _through(layers: nn.Module, vector: Tensor) -> Tensor:
    result: Tensor = layers(vector.reshape(1, -1, 1, 1, 1))
    return result.flatten()


def _reference(
    fusion: Fusion, fine: Mapping[str, Tensor], sizes: Mapping[str, int], alignment: Tensor, x: Tensor, stage: str
) -> Tensor:
    """As published: maps repeated to every stage's size, reweighted there, pooled to the size of this one."""
    maps: dict[str, list[Tensor]] = {"shift": [], "scale": []}
    num_points = alignment.shape[1]
    for name, level in fusion.levels.items():
        assert isinstance(level, Reweight)
        large = F.adaptive_max_pool2d(fine[name][0].flatten(0, 1), sizes[name]).reshape(
            fine[name].shape[1], -1, sizes[name], sizes[name]
        )
        for kind, layers in (("shift", level.shift), ("scale", level.scale)):
            width = len(_through(layers, large[:, 0, 0, 0]))
            found = torch.zeros(width, num_points, sizes[name], sizes[name])
            for j in range(num_points):
                for row in range(sizes[name]):
                    for column in range(sizes[name]):
                        own = large[:, :, row, column]
                        seen = [float(_through(level.attention, own[:, t])) for t in range(own.shape[1])]
                        weights = torch.tensor([a * float(alignment[t, j]) for t, a in enumerate(seen)])
                        aligned = (own * weights).sum(dim=1) / (weights.sum() + 1e-6)
                        found[:, j, row, column] = _through(layers, aligned)
            pooled = F.adaptive_max_pool2d(found.flatten(0, 1), sizes[stage])
            maps[kind].append(pooled.reshape(width, num_points, sizes[stage], sizes[stage]))
    result = torch.zeros_like(x)
    for j in range(num_points):
        for row in range(sizes[stage]):
            for column in range(sizes[stage]):
                shift, scale = (torch.cat([m[:, j, row, column] for m in maps[kind]]) for kind in ("shift", "scale"))
                beta, gamma = _through(fusion.shift[stage], shift), _through(fusion.scale[stage], scale)
                result[0, :, j, row, column] = x[0, :, j, row, column] * torch.sigmoid(gamma) + beta
    return result


@torch.no_grad()
def test_small_maps_give_what_repeated_maps_give() -> None:
    torch.manual_seed(0)
    channels, sizes = {"res2": 3, "res3": 4}, {"res2": 4, "res3": 2}
    fusion = Fusion(channels).eval()
    fine = {name: torch.rand(1, c, 5, 2, 2) for name, c in channels.items()}
    alignment = gaussian_alignment(torch.tensor([[0.5, 2.0, 4.5]]), torch.arange(5)[None] < 4, 1 / 4)
    maps = fusion.maps(fine, alignment)
    for stage, size in sizes.items():
        x = torch.randn(1, channels[stage], 3, size, size)
        torch.testing.assert_close(
            fusion(stage, x, maps), _reference(fusion, fine, sizes, alignment[0], x, stage), msg=stage
        )


@torch.no_grad()
def test_logits_are_scaled_and_shifted() -> None:
    torch.manual_seed(0)
    fusion = LogitFusion(4, 3, dropout=0.5).eval()
    fine, logits = torch.rand(2, 4, 6, 1, 1), torch.randn(2, 3, 5)
    alignment = gaussian_alignment(torch.rand(2, 5) * 6, torch.ones(2, 6, dtype=torch.bool), 1 / 8)
    shift, scale = fusion.reweight(fine, alignment)
    assert scale.shape == (2, 3, 5, 1, 1)
    wanted = logits / (1 + torch.exp(-scale[..., 0, 0])) + shift[..., 0, 0]
    torch.testing.assert_close(fusion(logits, fine, alignment), wanted)


def test_padding_of_the_fine_stream_changes_nothing() -> None:
    torch.manual_seed(0)
    level = Reweight(4, 4)
    fine, mask = torch.rand(1, 4, 9, 2, 2), torch.arange(9)[None] < 6
    centres = torch.rand(1, 3) * 6
    whole = level(fine, gaussian_alignment(centres, mask, 1 / 8))
    cut = level(fine[:, :, :6], gaussian_alignment(centres, mask[:, :6], 1 / 8))
    for a, b in zip(whole, cut, strict=True):
        torch.testing.assert_close(a, b)
