"""X3D per frame: sizes, multiply-adds, time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.backbones.x3d import X3D, plan
from trainables.detectors.x3d.network import FrameX3D


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def multiply_adds(run: Callable[[], object]) -> float:
    """In units of 1e9; convolutions and linear layers."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize(
    ("num_classes", "parameters"), [(157, 3_296_415), (65, 3_107_907), (400, 3_794_322), (401, 3_796_371)]
)
def test_parameters_of_the_per_frame_network(num_classes: int, parameters: int) -> None:
    with torch.device("meta"):
        assert count(FrameX3D(X3D(), num_classes)) == parameters


def test_parameters_of_other_sizes() -> None:
    with torch.device("meta"):
        assert count(FrameX3D(X3D(depth=5.0), 400)) == 6_153_432
        assert count(FrameX3D(X3D(width=1.0, depth=1.0, fc1_channels=256), 10)) == 319_388
        unnormalised = X3D(width=1.0, depth=1.0, fc1_channels=256, res2_shortcut_bn=False)
        assert count(FrameX3D(unnormalised, 10)) == 319_356
        res2 = X3D().get_submodule("res2")
        assert [count(block) for block in res2] == [5864, 4314, 5240]


def test_sizes_of_the_family() -> None:
    medium = plan(2.0, 2.2)
    assert medium.stem == 24
    assert medium.stages == ((24, 3), (48, 5), (96, 11), (192, 7))
    assert medium.conv5 == 432
    assert [blocks for _, blocks in plan(2.0, 5.0).stages] == [5, 10, 25, 15]


def test_multiply_adds_per_frame_and_as_a_classifier() -> None:
    with torch.device("meta"):
        network = FrameX3D(X3D(), 157).eval()
        assert multiply_adds(lambda: network(torch.empty(1, 3, 16, 224, 224))) == pytest.approx(4.750, abs=5e-4)
        assert multiply_adds(lambda: network(torch.empty(1, 3, 128, 224, 224))) == pytest.approx(38.00, abs=5e-3)
        backbone, frames = X3D(), torch.empty(1, 3, 16, 224, 224)
        head = nn.Linear(2048, 400)

        def classify() -> Tensor:
            pooled = backbone.collect(frames, ("pool",))["pool"].mean(dim=2, keepdim=True)
            scores: Tensor = head(backbone.fc1(pooled).flatten(1))
            return scores

        assert multiply_adds(classify) == pytest.approx(4.732, abs=5e-4)


def test_every_frame_has_its_answer() -> None:
    with torch.device("meta"):
        network = FrameX3D(X3D(), 157)
        for num_frames in (1, 17):
            assert network(torch.empty(2, 3, num_frames, 224, 224)).shape == (2, 157, num_frames)


def test_a_frame_moves_the_answers_around_it() -> None:
    torch.manual_seed(0)
    network = FrameX3D(X3D(width=1.0, depth=1.0, fc1_channels=16), 3).eval()
    frames = torch.rand(1, 3, 60, 32, 32)
    changed = frames.clone()
    changed[:, :, 30] += 1.0
    moved = (network(changed) - network(frames)).abs().amax(dim=(0, 1))
    # the gates see all frames, so everything moves a little; what is near moves most
    assert int(moved.argmax()) in range(26, 35)
    assert moved[24:37].mean() > 3 * moved[:15].mean()


def test_recomputing_the_blocks_changes_nothing_but_memory() -> None:
    gradients, buffers = [], []
    for recompute in (False, True):
        torch.manual_seed(0)
        network = FrameX3D(X3D(width=1.0, depth=1.0, fc1_channels=16, recompute=recompute), 3, dropout=0.0)
        network(torch.rand(2, 3, 5, 32, 32, generator=torch.Generator().manual_seed(1))).square().sum().backward()
        gradients.append({n: p.grad for n, p in network.named_parameters()})
        buffers.append(dict(network.named_buffers()))
    for name, gradient in gradients[0].items():
        assert gradient is not None
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)
    for name, buffer in buffers[0].items():
        assert torch.equal(buffer, buffers[1][name]), name
