"""The detector `slowfast_det`: settings, and weights of both streams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from trainables.backbones.x3d import X3D
from trainables.detectors.slowfast_det.config import Config, Fast, Slow
from trainables.detectors.slowfast_det.model import build_network
from trainables.detectors.x3d.settings import Backbone
from trainables.entrypoints.checkpoint import save_checkpoint

CONFIG = Config(backbone=Backbone(width=1.0, depth=1.0, fc1=16))


def checkpoint(path: Path, seed: int, *, shortcut_bn: bool = True) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state = X3D(width=1.0, depth=1.0, fc1_channels=16, res2_shortcut_bn=shortcut_bn).state_dict()
    save_checkpoint(path, 1, {f"detector.network.inner.backbone.{k}": v for k, v in state.items()}, "train", None)
    return state


@pytest.mark.parametrize("shortcut_bn", [True, False])
def test_each_stream_has_its_checkpoint(tmp_path: Path, shortcut_bn: bool) -> None:
    quick = checkpoint(tmp_path / "fast.pt", 1)
    calm = checkpoint(tmp_path / "slow.pt", 2, shortcut_bn=shortcut_bn)
    config = replace(CONFIG, fast=Fast(str(tmp_path / "fast.pt")), slow=Slow(str(tmp_path / "slow.pt")))
    torch.manual_seed(0)
    network = build_network(config, 3)
    plain = build_network(CONFIG, 3).slow.state_dict()
    assert all(torch.equal(value, quick[name]) for name, value in network.fast.state_dict().items())
    wider = set()
    for name, value in network.slow.state_dict().items():
        if value.shape == calm[name].shape:
            assert torch.equal(value, calm[name]), name
        else:
            wider.add(name)
            own = calm[name].shape[1]
            assert value.shape[1] == 3 * own
            assert torch.equal(value[:, :own], calm[name]), name
            assert value[:, own:].std() > 0.5 * plain[name][:, own:].std(), "what reads the fast stream starts anew"
    assert wider == {f"res{i}.0.{part}.weight" for i in (2, 3, 4, 5) for part in ("conv_a", "shortcut")}


def test_streams_learn_at_their_own_rates() -> None:
    (phase,) = replace(CONFIG, fast=Fast(lr_mult=0.0), slow=Slow(lr_mult=0.5)).phases()
    assert phase.frozen == ("network.inner.fast.",)
    assert phase.lr_multipliers == {"network.inner.slow.": 0.5}
    assert (phase.lr, phase.lr_milestones, phase.momentum) == (0.02, (30, 50, 70), 0.9)
    assert (CONFIG.clip_length, CONFIG.batch_size) == (64, 6)


def test_settings_reach_the_network() -> None:
    network = build_network(replace(CONFIG, alpha=8, kernel_t=7, ratio=1, dropout=0.25), 3)
    lateral = network.lateral["stem"]
    conv = lateral.get_submodule("conv")
    assert isinstance(conv, nn.Conv3d)
    assert (conv.kernel_size, conv.stride, conv.out_channels) == ((7, 1, 1), (8, 1, 1), conv.in_channels)
    assert network.alpha == 8
    assert network.fc2.dropout.p == 0.25


def test_checkpoints_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"slow\.weights: no file"):
        replace(CONFIG, slow=Slow(str(tmp_path / "no.pt"))).check_data(None, tmp_path)
