"""What the engine asks of a trainable, found through the entry point group ``tadtune.trainables``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Trainable(Protocol):
    """One trial's training and scoring; knows nothing of studies, Ray or tracking.

    It is constructed with keyword arguments: ``detector``, ``tasks``, ``dataset``, ``protocol`` (configuration
    objects), ``seed``, ``data_root`` (folder of data sets), ``device``, ``rank``, ``world_size``, ``num_threads``,
    ``precision`` ("float32" or "bfloat16", of what layers multiply in training).
    The same arguments give the same numbers, also when training stopped at a checkpoint in between.
    """

    @property
    def epoch(self) -> int:
        """Epochs trained so far."""
        ...

    @property
    def num_epochs(self) -> int:
        """Epochs to train."""
        ...

    def train_epoch(self) -> Mapping[str, float]:
        """Train one epoch; mean losses by name.

        Raises:
            FloatingPointError: a loss is not finite; the message names it, the epoch and the step.
        """
        ...

    def score_select(self, detector: Any, protocol: Any, tasks: Mapping[str, Any]) -> Mapping[str, float]:
        """Metrics on ``select`` with the inference parameters of these configurations; ``tasks`` by name.

        The outputs of the current weights are computed once and kept.
        """
        ...

    def finish(
        self, folder: Path, variants: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, float]:
        """Score ``test``, once, and write what the trial leaves behind.

        Args:
            folder: for artifacts.
            variants: suffix of the split's name ("" or "_tuned") -> detector configuration.
            tasks: the same suffix -> task name -> configuration.

        Returns:
            ``test<suffix>/<metric>`` for every variant.
        """
        ...

    def save(self, path: Path) -> None:
        """Replace the checkpoint in one step."""
        ...

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        ...
