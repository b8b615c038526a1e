"""Configuration of PDAN on stored features. Imports no torch.

Source: Dai et al., "PDAN: Pyramid Dilated Attention Network for Action Detection", WACV 2021 (dairui01/PDAN), as SSDet
uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from trainables.config import param
from trainables.detectors.frame_level.settings import HeadConfig, Optim

_RECIPE = {"optim.lr": 1e-4, "optim.epochs": 100, "optim.batch_size": 32}
_OPTIM = Optim(lr=1e-4, epochs=100, batch_size=32, lr_factor=0.5)


@dataclass(frozen=True)
class Config(HeadConfig):
    """Blocks of attention to frames ever further away."""

    key: ClassVar[str] = "pdan"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"charades": _RECIPE, "multithumos": _RECIPE}

    blocks: int = param(
        5, "attention layers, each twice as far as the one before, from 1 sample", search=(3, 6), bounds=(1, 12),
        source="dairui01/PDAN:models_PDAN.py",
    )  # fmt: skip
    width: int = param(
        512, "channels of the blocks", search=(256, 768), bounds=(1, None), source="PDAN 4.2; dairui01/PDAN:PDAN.py"
    )
    dropout: float = param(
        0.5, "on what a block adds", search=(0.0, 0.8), bounds=(0.0, 0.95), source="dairui01/PDAN:models_PDAN.py"
    )
    optim: Optim = _OPTIM

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        network = import_module("trainables.detectors.pdan.network").PdanNetwork(
            feat_dim=feat_dim, num_classes=num_classes, blocks=self.blocks, width=self.width, dropout=self.dropout
        )
        return import_module("trainables.detectors.frame_level.model").FrameLevelDetector(network, "feats")
