"""Which parts every loss of the three tasks reaches: all columns, trunks and ways of detaching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from roi_host import SmallRoiHost, small_batch
from torch import Tensor, nn

from trainables.aux_tasks.lce.config import Config as LceConfig
from trainables.aux_tasks.mac.config import Config as MacConfig
from trainables.aux_tasks.refine.config import Config as RefineConfig
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


HOSTS = {"small": _small, "r_c3d": _r_c3d}


class Setting:
    """A host with the three tasks; groups of parameters and losses by the names of the table."""

    def __init__(self, host: str, *, stop: bool, **changes: Any) -> None:
        torch.manual_seed(0)
        self.host, parts, self.names = HOSTS[host]()
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
        """Parts all of whose tensors get a gradient; a part may not get it in some of them only."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)
        self.losses()[loss].backward()  # type: ignore[no-untyped-call]
        whole = set()
        for name, part in self.parts.items():
            felt = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters()]
            assert all(felt) or not any(felt), f"{loss} reaches a part of {name} only"
            if all(felt):
                whole.add(name)
        return whole


@pytest.mark.parametrize("host", HOSTS)
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


@pytest.mark.parametrize("host", HOSTS)
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
