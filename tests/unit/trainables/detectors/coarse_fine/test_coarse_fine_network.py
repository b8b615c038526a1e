"""The two streams together: sizes, shapes, what reaches what."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from trainables.backbones.x3d import X3D
from trainables.detectors.coarse_fine.network import CoarseFine


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small(**settings: Any) -> CoarseFine:
    sizes: dict[str, Any] = {"width": 1.0, "depth": 1.0}
    fine, coarse = X3D(fc1_channels=None, **sizes), X3D(fc1_channels=16, **sizes)
    return CoarseFine(fine, coarse, 3, **settings)


@pytest.mark.parametrize(("num_classes", "coarse", "both"), [(157, 4_532_327, 6_622_313), (65, 4_264_147, 6_354_133)])
def test_parameters(num_classes: int, coarse: int, both: int) -> None:
    with torch.device("meta"):
        network = CoarseFine(X3D(fc1_channels=None), X3D(), num_classes)
    assert count(network) == both
    assert count(network) - count(network.fine) == coarse
    assert count(network.grid_pool) == 31_465


@pytest.mark.parametrize(("num_frames", "points"), [(32, 9), (64, 17)])
def test_shapes_of_the_published_input(num_frames: int, points: int) -> None:
    seen: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        network = CoarseFine(X3D(fc1_channels=None), X3D(), 157).eval()
        fine = network.fine_maps(torch.empty(1, 3, 128, 224, 224))
        for name in ("stem", "res2", "res3", "res4", "res5", "conv5"):
            network.coarse.get_submodule(name).register_forward_hook(
                lambda *a, key=name: seen.update({key: tuple(a[2].shape[1:])})
            )
        network.grid_pool.register_forward_hook(lambda *a: seen.update({"grid": tuple(a[2][0].shape[1:])}))
        network.fc2.register_forward_hook(lambda *a: seen.update({"fc2": tuple(a[2].shape[1:])}))
        mask, start = torch.ones(1, 128, dtype=torch.bool), torch.zeros(1)
        logits = network(torch.empty(1, 3, num_frames, 224, 224), fine, mask, start)
    assert {name: tuple(x.shape[1:]) for name, x in fine.items()} == {
        "res2": (24, 128, 7, 7),
        "res3": (48, 128, 7, 7),
        "res4": (96, 128, 7, 7),
        "res5": (192, 128, 7, 7),
        "conv5": (432, 128, 7, 7),
    }
    assert seen == {
        "stem": (24, num_frames, 112, 112),
        "res2": (24, num_frames, 56, 56),
        "grid": (24, points, 56, 56),
        "res3": (48, points, 28, 28),
        "res4": (96, points, 14, 14),
        "res5": (192, points, 7, 7),
        "conv5": (432, points, 7, 7),
        "fc2": (157, points),
    }
    assert logits.shape == (1, 157, num_frames)


@pytest.mark.parametrize(("num_frames", "halvings"), [(1, 2), (5, 3), (18, 1), (18, 2)])
def test_any_number_of_frames_has_as_many_answers(halvings: int, num_frames: int) -> None:
    with torch.device("meta"):
        network = small(num_halvings=halvings)
        fine = network.fine_maps(torch.empty(2, 3, 20, 64, 64))
        mask = torch.ones(2, 20, dtype=torch.bool)
        found = network(torch.empty(2, 3, num_frames, 64, 64), fine, mask, torch.zeros(2))
    assert found.shape == (2, 3, num_frames)


def test_everything_learns_where_nothing_is_frozen() -> None:
    torch.manual_seed(0)
    network = small(dropout=0.0)
    frames = torch.rand(2, 3, 12, 32, 32)
    fine = network.fine_maps(frames)
    mask = torch.ones(2, 12, dtype=torch.bool)
    network(frames[:, :, 2:10], fine, mask, torch.full((2,), 2.0)).square().sum().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def test_the_clip_is_held_against_the_fine_frames_around_it() -> None:
    """Only fine frames near the clip matter where the alignment is narrow."""
    torch.manual_seed(0)
    network = small(dropout=0.0, std_share=1 / 32).eval()
    clip = torch.rand(1, 3, 8, 32, 32)
    fine = {name: torch.rand(1, x.shape[1], 64, 1, 1) for name, x in network.fine_maps(clip).items()}
    mask, start = torch.ones(1, 64, dtype=torch.bool), torch.tensor([40.0])
    with torch.no_grad():
        plain = network(clip, fine, mask, start)
        for first, near in ((0, False), (40, True)):
            other = {name: x.clone() for name, x in fine.items()}
            for x in other.values():
                x[:, :, first : first + 8] += 1.0
            moved = (network(clip, other, mask, start) - plain).abs().max()
            assert (moved > 1e-3) == near
