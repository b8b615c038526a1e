"""What every detector is: a configuration class without torch, and the module it builds.

A detector is found through the entry point group ``tadtune.detectors``; the entry point names its ``Config`` class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from trainables.config import Phase, Sampling
from trainables.records import Batch, Detections, Outputs, RawOutput, Supervision


class DetectorConfig(Protocol):
    """The ``Config`` dataclass of a detector (frozen, imports no torch at module level)."""

    key: ClassVar[str]
    paper: ClassVar[str]
    supervision: ClassVar[Supervision]
    inputs: ClassVar[str]
    views: ClassVar[tuple[str, ...]]

    @property
    def batch_size(self) -> int: ...

    def build(self, *, feat_dim: int, num_classes: int) -> Detector:
        """Make the module; weights come from torch's global generator, which the caller has seeded."""
        ...

    def phases(self) -> tuple[Phase, ...]:
        """The training recipe."""
        ...

    def sampling(self) -> Sampling:
        """How videos become inputs."""
        ...


class Detector(Protocol):
    """An ``nn.Module`` with these three methods."""

    def __call__(self, batch: Batch) -> Outputs: ...

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """Unweighted scalar losses, exactly the names in ``active``."""
        ...

    def detect(self, raw: Sequence[RawOutput], config: Any) -> Detections:
        """Detections of whole videos: all inputs (windows) of a video are in one call.

        Args:
            raw: stored outputs, any number of videos.
            config: the detector's ``Config``, possibly with other inference parameters than at training.
        """
        ...


def as_module(detector: Detector) -> nn.Module:
    """The detector as the ``nn.Module`` it has to be."""
    if not isinstance(detector, nn.Module):
        raise TypeError(f"{type(detector).__name__} is not an nn.Module")
    return detector
