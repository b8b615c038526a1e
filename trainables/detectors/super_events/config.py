"""Configuration of super-events on stored features. Imports no torch.

Source: Piergiovanni and Ryoo, "Learning Latent Super-Events to Detect Multiple Activities in Videos", CVPR 2018
(piergiaj/super-events-cvpr18), as SSDet uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from trainables.config import param
from trainables.detectors.frame_level.settings import HeadConfig, Optim

_OPTIM = Optim(lr=2e-4, epochs=40)


@dataclass(frozen=True)
class Config(HeadConfig):
    """A linear classifier of frames beside one of what the whole video shows."""

    key: ClassVar[str] = "super_events"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "charades": {"optim.lr": 2e-4, "optim.epochs": 40},
        "multithumos": {"optim.lr": 8e-3, "optim.epochs": 40},
    }

    num_filters: int = param(
        3, "temporal structure filters of each of the two sets", symbol="N", search=(1, 5), bounds=(1, None),
        source="piergiaj/super-events-cvpr18:super_event_models.py",
    )  # fmt: skip
    dropout: float = param(
        0.7, "on the features and on the super-events", search=(0.0, 0.8), bounds=(0.0, 0.95),
        source="piergiaj/super-events-cvpr18:super_event_models.py",
    )  # fmt: skip
    optim: Optim = _OPTIM

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        network = import_module("trainables.detectors.super_events.network").SuperEventNetwork(
            feat_dim=feat_dim, num_classes=num_classes, num_filters=self.num_filters, dropout=self.dropout
        )
        return import_module("trainables.detectors.frame_level.model").FrameLevelDetector(network, "feats")
