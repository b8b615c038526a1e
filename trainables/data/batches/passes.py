"""One pass over a split, as a worker asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from trainables.config import Sampling
from trainables.data.batches.sampling import check_sampling
from trainables.records import Supervision


@dataclass(frozen=True)
class Pass:
    """What a worker asks for; the fields are those of :meth:`trainables.contracts.Dataset.batches`.

    Raises:
        ValueError: a field is out of bounds.
    """

    sampling: Sampling
    batch_size: int
    supervision: Supervision
    seed: int
    epoch: int | None
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        check_sampling(self.sampling)
        if self.batch_size < 1:
            raise ValueError(f"batch_size: {self.batch_size} must be 1 or more")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank: {self.rank} must be from 0 to world_size - 1 = {self.world_size - 1}")
        if self.supervision not in get_args(Supervision):
            raise ValueError(f"supervision: '{self.supervision}' is none of {', '.join(get_args(Supervision))}")
        if self.training and self.sampling.min_inside > 0 and self.supervision != "segments":
            raise ValueError(
                f"sampling.min_inside: {self.sampling.min_inside} reads segments; '{self.supervision}' allows none"
            )

    @property
    def training(self) -> bool:
        """Whether order and inputs are drawn."""
        return self.epoch is not None

    @property
    def kind(self) -> str:
        """The kind of sampling it is now."""
        return self.sampling.train if self.training else self.sampling.test
