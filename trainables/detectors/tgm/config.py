"""Configuration of TGM with super-events on stored features. Imports no torch.

Source: Piergiovanni and Ryoo, "Temporal Gaussian Mixture Layer for Videos", ICML 2019 (piergiaj/tgm-icml19), as SSDet
uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import param
from trainables.detectors.frame_level.settings import HeadConfig, Optim

_RELEASE = "piergiaj/tgm-icml19:models.py"
_OPTIM = Optim(lr=2e-4, epochs=60)


@dataclass(frozen=True)
class Layers:
    """The temporal Gaussian mixture layers."""

    count: int = param(3, "layers one after another", bounds=(1, None), source=_RELEASE)
    channels: int = param(8, "of each layer", symbol="C", search=(4, 16), bounds=(1, None), source=_RELEASE)
    num_kernels: int = param(16, "shapes a kernel mixes", symbol="M", search=(4, 32), bounds=(1, None), source=_RELEASE)
    taps: int = param(
        5, "length of the kernels, samples", symbol="L", choices=(3, 5, 7, 9, 15, 31), bounds=(1, None), source=_RELEASE
    )
    shape: Literal["cauchy", "gaussian"] = param(
        "cauchy", "of the kernels: as released, or as written", choices=("cauchy", "gaussian"),
        source="piergiaj/tgm-icml19:temporal_structure_filter.py; gaussian: TGM Eq. (1)",
    )  # fmt: skip


@dataclass(frozen=True)
class Config(HeadConfig):
    """Features, what TGM layers make of them, and super-events, through two layers to the classes of each frame."""

    key: ClassVar[str] = "tgm"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "charades": {"optim.lr": 2e-4, "optim.epochs": 60},
        "multithumos": {"optim.lr": 8e-3, "optim.epochs": 60},
    }

    layers: Layers = Layers()
    num_filters: int = param(
        3, "temporal structure filters of each of the two sets of super-events", symbol="N", search=(1, 5),
        bounds=(1, None), source=_RELEASE,
    )  # fmt: skip
    hidden: int = param(512, "channels before the classes", bounds=(1, None), source=_RELEASE)
    dropout: float = param(
        0.5, "on features, TGM's outputs and super-events", search=(0.0, 0.8), bounds=(0.0, 0.95), source=_RELEASE
    )
    optim: Optim = _OPTIM

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        network = import_module("trainables.detectors.tgm.network").TgmNetwork(
            feat_dim=feat_dim,
            num_classes=num_classes,
            num_layers=self.layers.count,
            channels=self.layers.channels,
            num_kernels=self.layers.num_kernels,
            taps=self.layers.taps,
            shape=self.layers.shape,
            num_filters=self.num_filters,
            hidden=self.hidden,
            dropout=self.dropout,
        )
        return import_module("trainables.detectors.frame_level.model").FrameLevelDetector(network, "feats")
