"""Which parts every loss of the three tasks reaches: all columns, trunks and ways of detaching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from roi_host import SmallRoiHost, small_batch
from torch import Tensor, nn

from trainables.aux_tasks.lce.config import Config as LceConfig
from trainables.aux_tasks.mac.config import Config as MacConfig
from trainables.aux_tasks.refine.config import Config as RefineConfig
from trainables.detectors.pbrnet.model import PbrNet
from trainables.detectors.pbrnet.settings import Match, Net
from trainables.detectors.pbrnet.stem import FeatureStem
from trainables.detectors.r_c3d.model import RC3D
from trainables.detectors.r_c3d.settings import Anchors, Roi, Rpn, Trunk
from trainables.records import Batch

HOST = {"backbone", "trunk", "cls"}
ALL = {"backbone", "trunk", "cls", "reg", "mac_trunk", "mac_fc", "lce", "w"}


class SmallMap(nn.Module):
    """A shared map that is learnt, in the place of C3D."""

    samples_per_cell = 1
    spatial = False
    channels = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(5, self.channels, 3, padding=1)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.feats is not None
        shared: Tensor = self.conv(batch.feats)[..., None, None]
        return shared


def _small() -> tuple[Any, dict[str, nn.Module], dict[str, str]]:
    host = SmallRoiHost(feat_dim=5, num_classes=3)
    parts = {"backbone": host.backbone, "trunk": host.trunk, "cls": host.cls, "reg": host.reg}
    return host, parts, {"cls": "cls", "reg": "reg"}


def _r_c3d() -> tuple[Any, dict[str, nn.Module], dict[str, str]]:
    host = RC3D(
        shared_map=SmallMap(),
        num_classes=3,
        bins=(2, 1, 1),
        anchors=Anchors(scales=(4.0, 6.0, 8.0)),
        rpn=Rpn(width=8),
        roi=Roi(batch=32),
        trunk=Trunk(width=12),
        inclusive=False,
    )
    parts = {"backbone": host.backbone, "trunk": host.trunk, "cls": host.heads.cls, "reg": host.heads.reg}
    return host, parts, {"cls": "roi_class", "reg": "roi_offset"}


class SmallStem(FeatureStem):
    """Features that a convolution has changed, in the place of I3D."""

    def __init__(self) -> None:
        super().__init__(5, parts=2)
        self.conv = nn.Conv1d(5, 5, 3, padding=1)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.feats is not None
        return super().forward(replace(batch, feats=self.conv(batch.feats)))


def _pbrnet() -> tuple[Any, dict[str, nn.Module], dict[str, str]]:
    host = PbrNet(
        stem=SmallStem(),
        num_classes=3,
        net=Net(width=8, roi_width=12),
        match=Match(cpd_tiou=0.1, rpd_tiou=0.1, fgd_tiou=0.1),  # so low that an untrained network has positives
    ).train()
    heads = host.refined.heads
    parts = {
        "backbone": host.stem.conv,
        "pyramids": nn.ModuleList([host.coarse.levels, host.refined.levels]),
        "cls": nn.ModuleList(head.logits for head in heads),
        "reg": nn.ModuleList(head.offsets for head in heads),
        "trunk": host.roi_trunk,
    }
    return host, parts, {"cls": "rpd_class", "reg": "rpd_offset"}


HOSTS = {"small": _small, "r_c3d": _r_c3d, "pbrnet": _pbrnet}
#: Hosts whose trunk stands before their own heads, as the table of the paper has it.
TWO_STAGES = ("small", "r_c3d")


class Setting:
    """A host with the three tasks; groups of parameters and losses by the names of the table."""

    def __init__(self, host: str, *, stop: bool, **changes: Any) -> None:
        torch.manual_seed(0)
        self.host, parts, self.names = HOSTS[host]()
        self.by_levels = host == "pbrnet"
        configs: Mapping[str, Any] = {
            "mac": MacConfig(stop_gradient=stop, trunk=changes.get("trunk", "own")),
            "lce": LceConfig(stop_gradient=stop, mean=changes.get("mean", "own")),
            "refine": RefineConfig(detach=changes.get("detach", True)),
        }
        self.tasks: dict[str, Any] = {
            name: config.build(host=self.host, feat_channels=6, num_classes=3) for name, config in configs.items()
        }
        self.tasks["refine"].meet({"mac": self.tasks["mac"]})
        self.parts = parts | {"mac_fc": self.tasks["mac"].classify, "lce": self.tasks["lce"]}
        self.parts["w"] = self.tasks["refine"].correct
        if configs["mac"].trunk == "own":
            self.parts["mac_trunk"] = self.tasks["mac"].trunk

    def losses(self) -> dict[str, Tensor]:
        torch.manual_seed(1)
        batch = small_batch()
        outputs = self.host(batch)
        own = self.host.losses(outputs, batch, tuple(self.names.values()))
        found = {name: own[source] for name, source in self.names.items()}
        for task in self.tasks.values():
            found |= task.losses(outputs, batch)
        return found

    def reached(self, loss: str) -> set[str]:
        """Parts that get a gradient: in all of their tensors or in none, PBRNet's also in those of some levels only."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)
        self.losses()[loss].backward()  # type: ignore[no-untyped-call]
        whole = set()
        for name, part in self.parts.items():
            felt = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters()]
            assert self.by_levels or all(felt) or not any(felt), f"{loss} reaches a part of {name} only"
            if any(felt):
                whole.add(name)
        return whole


@pytest.mark.parametrize("host", TWO_STAGES)
@pytest.mark.parametrize(
    ("column", "stop", "table"),
    [
        (
            "MTL and Both",
            False,
            {
                "cls": HOST,
                "reg": {"backbone", "trunk", "reg"},
                "mac": {"backbone", "mac_trunk", "mac_fc"},
                "lce": {"backbone", "trunk", "lce"},
                "refine": {"w"} | HOST,
            },
        ),
        (
            "Refine",
            True,
            {
                "cls": HOST,
                "reg": {"backbone", "trunk", "reg"},
                "mac": {"mac_trunk", "mac_fc"},
                "lce": {"lce"},
                "refine": {"w"} | HOST,
            },
        ),
    ],
)
def test_the_table_of_the_paper(host: str, column: str, stop: bool, table: dict[str, set[str]]) -> None:
    setting = Setting(host, stop=stop)
    assert set(setting.parts) == ALL
    assert {loss: setting.reached(loss) for loss in table} == table, column


PBRNET = {"backbone", "pyramids", "cls"}


@pytest.mark.parametrize(
    ("stop", "changes", "table"),
    [
        (
            False,
            {},
            {"mac": {"backbone", "mac_trunk", "mac_fc"}, "lce": {"backbone", "trunk", "lce"}, "refine": {"w"} | PBRNET},
        ),
        (True, {}, {"mac": {"mac_trunk", "mac_fc"}, "lce": {"lce"}, "refine": {"w"} | PBRNET}),
        (
            False,
            {"trunk": "shared", "mean": "host"},
            {"mac": {"backbone", "trunk", "mac_fc"}, "lce": {"backbone", "trunk", "pyramids", "reg", "lce"}},
        ),
    ],
)
def test_the_table_where_the_tasks_trunk_is_beside_the_hosts_heads(
    stop: bool, changes: dict[str, Any], table: dict[str, set[str]]
) -> None:
    """PBRNet scores its regions by its pyramids; what the tasks read of them is a branch of its own."""
    setting = Setting("pbrnet", stop=stop, **changes)
    own = {"cls": PBRNET, "reg": {"backbone", "pyramids", "reg"}}
    assert {loss: setting.reached(loss) for loss in (own | table)} == own | table


@pytest.mark.parametrize("host", TWO_STAGES)
@pytest.mark.parametrize(
    ("stop", "changes", "loss", "reached"),
    [
        (False, {"trunk": "shared"}, "mac", {"backbone", "trunk", "mac_fc"}),
        (True, {"trunk": "shared"}, "mac", {"mac_fc"}),
        (False, {"detach": False}, "refine", {"w", "mac_trunk", "mac_fc"} | HOST),
        (True, {"detach": False}, "refine", {"w", "mac_trunk", "mac_fc"} | HOST),
        (True, {"detach": False, "trunk": "shared"}, "refine", {"w", "mac_fc"} | HOST),
        (False, {"mean": "host"}, "lce", {"backbone", "trunk", "reg", "lce"}),
        (True, {"mean": "host"}, "lce", {"lce"}),
    ],
)
def test_other_trunks_means_and_ways_of_detaching(
    host: str, stop: bool, changes: dict[str, Any], loss: str, reached: set[str]
) -> None:
    assert Setting(host, stop=stop, **changes).reached(loss) == reached


def _map_gradient(*, stop: bool, detach: bool) -> Tensor:
    setting = Setting("small", stop=stop, detach=detach)
    setting.reached("refine")
    gradient = setting.host.backbone.weight.grad
    assert gradient is not None
    return gradient


def test_the_correction_reaches_the_shared_map_through_windows_only_where_nothing_is_detached() -> None:
    residual = _map_gradient(stop=True, detach=True)
    assert torch.equal(residual, _map_gradient(stop=False, detach=True))
    through_logits = _map_gradient(stop=True, detach=False)
    assert not torch.allclose(residual, through_logits, rtol=1e-3), "through x in u"
    assert not torch.allclose(through_logits, _map_gradient(stop=False, detach=False), rtol=1e-3), "through windows"


def test_what_is_only_logged_carries_no_gradient() -> None:
    losses = Setting("small", stop=False).losses()
    logged = {name for name, value in losses.items() if not value.requires_grad}
    assert logged == {"mac_divergence", "lce_sigma", "lce_sigma_error_corr"}


@pytest.mark.parametrize("stop", [False, True])
def test_the_proposal_subnets_own_losses_reach_backbone_and_proposals_in_every_column(stop: bool) -> None:
    setting = Setting("r_c3d", stop=stop)
    setting.names = {"rpn_class": "rpn_class", "rpn_offset": "rpn_offset"}
    setting.parts |= {"convs": setting.host.rpn.convs, "scores": setting.host.rpn.scores}
    setting.parts["offsets"] = setting.host.rpn.offsets
    assert setting.reached("rpn_class") == {"backbone", "convs", "scores"}
    assert setting.reached("rpn_offset") == {"backbone", "convs", "offsets"}
