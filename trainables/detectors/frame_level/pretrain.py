"""Learning from trimmed clips before the detection data. Imports no torch.

Source: Kahatapitiya et al. 2023, "Weakly-Guided Self-Supervised Pretraining for Temporal Activity Detection" (SSDet).
By itself the stage is plain classification of clips, the paper's baseline; a volume task takes the place of that loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from trainables.config import Phase, Sampling, param, require_trimmed

#: Phase of the detection data that begins with new class layers.
FINETUNE = "finetune"


@dataclass(frozen=True)
class Pretrain:
    """The stage; whatever is learnt in it, its epochs, batches and samples are the same."""

    epochs: int = param(0, "passes over the trimmed clips; 0 = no such stage", bounds=(0, None), source="ours")
    length: int = param(16, "samples per clip", bounds=(1, None), source="Kinetics-400: 16 frames")
    optimizer: Literal["adam", "adamw", "sgd"] = param(
        "sgd", "optimiser; sgd has momentum 0.9", source="kkahatapitiya/SSDet:train_x3d_kinetics_multigrid.py"
    )
    lr: float = param(
        0.05, "learning rate, of a batch of 64", symbol="eta_0", search=(0.005, 0.2), log=True, bounds=(0.0, None),
        source="Implementation details",
    )  # fmt: skip
    weight_decay: float = param(
        5e-5, "L2 penalty", search=(1e-6, 1e-3), log=True, bounds=(0.0, None),
        source="kkahatapitiya/SSDet:train_x3d_kinetics_multigrid.py",
    )  # fmt: skip
    drop_epoch_frac: float = param(
        0.8, "share of the epochs after which the learning rate is divided by 10", bounds=(0.0, 1.0),
        source="Implementation details: 80k of 100k iterations",
    )  # fmt: skip
    new_classes: bool = param(
        True, "the layers that are of the classes begin anew with the detection data, whose classes may be others",
        source="Pretraining stage",
    )  # fmt: skip

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """There have to be trimmed clips.

        Raises:
            ValueError: the data set has none.
        """
        if self.epochs:
            require_trimmed("pretraining", "set detector.pretrain.epochs: 0", dataset, data_root)

    def before(
        self, recipe: tuple[Phase, ...], sampling: Sampling, lr_multipliers: Mapping[str, float] | None = None
    ) -> tuple[Phase, ...]:
        """The stage, if there is one, and then the recipe for the detection data.

        Args:
            recipe: one phase.
            sampling: how clips become inputs.
            lr_multipliers: prefix of parameters -> factor of the stage's learning rate.
        """
        if self.epochs == 0:
            return recipe
        (detection,) = recipe
        stage = Phase(
            "pretrain",
            self.epochs,
            self.lr,
            {"clip": 1.0},
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            momentum=0.9,
            lr_multipliers=lr_multipliers or {},
            lr_milestones=(max(1, round(self.drop_epoch_frac * self.epochs)),),
            split="trimmed",
            sampling=sampling,
        )
        return stage, replace(detection, name=FINETUNE) if self.new_classes else detection
