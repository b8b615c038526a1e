"""Two streams at two rates: sizes, multiply-adds, which frames meet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.backbones.x3d import X3D, plan
from trainables.detectors.slowfast_det.network import Lateral, SlowFast, SlowStream


def build(num_classes: int, *, width: float = 2.0, depth: float = 2.2, **settings: Any) -> SlowFast:
    ratio = settings.get("ratio", 2)
    fast = X3D(width=width, depth=depth, fc1_channels=None)
    return SlowFast(fast, SlowStream(plan(width, depth), ratio=ratio), num_classes, **settings)


@pytest.mark.parametrize(("num_classes", "parameters"), [(157, 6_559_617), (65, 6_371_109)])
def test_parameters(num_classes: int, parameters: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build(num_classes).parameters()) == parameters


@pytest.mark.parametrize(("settings", "giga"), [({}, 54.51), ({"kernel": 7}, 56.1)])
def test_multiply_adds_of_128_frames(settings: dict[str, int], giga: float) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(157, **settings).eval()(torch.empty(1, 3, 128, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=0.05 if settings else 0.005)


def test_shapes_of_both_streams() -> None:
    seen: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        network = build(157)
        for stream in ("fast", "slow"):
            for name, child in network.get_submodule(stream).named_children():
                child.register_forward_hook(
                    lambda _, inputs, output, key=f"{stream}.{name}": seen.update(
                        {key: (inputs[0].shape[1], *output.shape[1:4])}
                    )
                )
        logits = network(torch.empty(1, 3, 16, 224, 224))
    assert seen["fast.stem"] == (3, 24, 16, 112)
    assert seen["slow.stem"] == (3, 24, 4, 112)
    assert seen["slow.res2"] == (72, 24, 4, 56)
    assert seen["slow.res3"] == (72, 48, 4, 28)
    assert seen["slow.res4"] == (144, 96, 4, 14)
    assert seen["slow.res5"] == (288, 192, 4, 7)
    assert seen["slow.conv5"] == (192, 432, 4, 7)
    assert seen["fast.conv5"] == (192, 432, 16, 7)
    assert logits.shape == (1, 157, 16)


@pytest.mark.parametrize(("num_frames", "alpha"), [(1, 2), (3, 4), (8, 4), (9, 8)])
def test_any_number_of_frames_has_as_many_answers(num_frames: int, alpha: int) -> None:
    with torch.device("meta"):
        network = build(5, width=1.0, depth=1.0, alpha=alpha).eval()
        assert network(torch.empty(1, 3, num_frames, 32, 32)).shape == (1, 5, num_frames)


def test_a_lateral_connection_sees_the_frames_around_its_own() -> None:
    torch.manual_seed(0)
    lateral = Lateral(1, ratio=2, alpha=4, kernel=5).eval()
    torch.nn.init.ones_(lateral.conv.weight)
    frames = torch.arange(16.0).reshape(1, 1, 16, 1, 1)
    # slow frame i stands at fast frame 4 i and sums fast frames 4 i - 2 to 4 i + 2
    wanted = torch.tensor([0.0 + 1 + 2, 2 + 3 + 4 + 5 + 6, 6 + 7 + 8 + 9 + 10, 10 + 11 + 12 + 13 + 14])
    found = lateral(frames)[0, :, :, 0, 0]
    torch.testing.assert_close(found, (wanted / (1 + 1e-5) ** 0.5).expand(2, 4))


def test_slow_features_are_spread_over_the_frames_they_stand_for() -> None:
    with torch.device("meta"):
        network = build(5, width=1.0, depth=1.0, alpha=4)
    spread = network._at_every_frame(torch.tensor([0.0, 8.0]).reshape(1, 1, 2, 1, 1), 7).flatten().tolist()
    assert spread == pytest.approx([0.0, 0.0, 1.0, 3.0, 5.0, 7.0, 8.0])


def test_both_streams_and_every_connection_learn() -> None:
    torch.manual_seed(0)
    network = build(3, width=1.0, depth=1.0, fc1_channels=16, dropout=0.0)
    network(torch.rand(2, 3, 8, 32, 32)).square().sum().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
