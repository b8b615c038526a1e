"""What every protocol shares: predictions are held against the ground truth once, scores and resamples follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from trainables.detections import FloatArray

#: Kinds of predictions, each with a type and file formats of its own.
Takes = Literal["detections", "proposals", "frame_scores", "video_scores", "frame_labels"]


class Matched(Protocol):
    """The least a protocol's :meth:`ScoringProtocol.match` returns."""

    @property
    def protocol(self) -> str:
        """Key and version."""
        ...

    @property
    def video_ids(self) -> tuple[str, ...]:
        """V ids."""
        ...

    @property
    def warnings(self) -> Mapping[str, int]:
        """What was counted instead of refused."""
        ...


State = TypeVar("State", bound=Matched)


@dataclass(frozen=True)
class ScoringProtocol(ABC, Generic[State]):
    """Base of all protocols; a field is a setting."""

    key: ClassVar[str]
    version: ClassVar[str]
    #: one line for tables and descriptions.
    metrics_doc: ClassVar[str]
    #: kind of the predictions it scores.
    takes: ClassVar[Takes]
    #: of detections: its truth must know how long the videos are, as that of frame scores always does.
    timed: ClassVar[bool] = False

    @abstractmethod
    def metric_names(self) -> tuple[str, ...]:
        """M names; the values are fractions."""

    @abstractmethod
    def match(self, found: Any, truth: Any) -> State:
        """Hold predictions against the ground truth, once; every score and resampling works from the result.

        Raises:
            ValueError: predictions or ground truth that cannot be scored; the first bad row is named.
        """

    @abstractmethod
    def _resample(self, matches: State, weights: FloatArray) -> FloatArray:
        """(R, M) metrics under (R, V) checked weights; NaN where no ground truth has weight."""

    @abstractmethod
    def counts(self, matches: State) -> dict[str, int]:
        """How much was scored: videos, classes, instances, predictions."""

    def per_class_ap(self, matches: State) -> dict[str, dict[str, float]]:
        """Class name -> metric name -> AP, classes with ground truth only; empty where no metric is one of classes."""
        return {}

    def extras(self, found: Any, truth: Any) -> dict[str, float]:
        """Further numbers that users of the protocol know, as fractions; they are not resampled.

        Raises:
            ValueError: as :meth:`match`.
        """
        return {}

    def score(self, matches: State, video_weights: npt.ArrayLike | None = None) -> dict[str, float]:
        """Metrics as fractions.

        Args:
            matches: of this protocol.
            video_weights: (V,) multiplicity of each video, see :meth:`resample`; None = once each.

        Raises:
            ValueError: matches of another protocol, or weights that leave no ground truth.
        """
        weights = np.ones(len(matches.video_ids)) if video_weights is None else np.asarray(video_weights, np.float64)
        values = self.resample(matches, weights[None])[0]
        if np.isnan(values).any():
            raise ValueError(
                "video_weights: no video with ground truth has a positive weight; there is nothing to score"
            )
        return dict(zip(self.metric_names(), values.tolist(), strict=True))

    def resample(self, matches: State, weights: FloatArray) -> FloatArray:
        """Metrics under multiplicities of the videos, without matching again.

        Args:
            matches: of this protocol.
            weights: (R, V) non-negative. A weight of w counts everything in the video w times; 0 leaves the video out.

        Returns:
            (R, M) in the order of ``metric_names``; NaN rows where no ground truth has weight.

        Raises:
            ValueError: matches of another protocol, or weights of another shape, negative or not finite.
        """
        self._require_own(matches)
        num_videos = len(matches.video_ids)
        if weights.ndim != 2 or weights.shape[1] != num_videos:
            raise ValueError(
                f"video_weights: shape {weights.shape} does not give one weight to each of {num_videos} videos"
            )
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError("video_weights: every weight must be finite and not negative")
        return self._resample(matches, weights)

    def bootstrap(self, matches: State, *, num_resamples: int, seed: int) -> FloatArray:
        """(num_resamples, M) metrics of data sets of as many videos, drawn with replacement.

        Args:
            matches: of this protocol.
            num_resamples: R.
            seed: the only source of randomness.
        """
        num_videos = len(matches.video_ids)
        share = np.full(num_videos, 1 / num_videos)
        draws = np.random.default_rng(seed).multinomial(num_videos, share, size=num_resamples)
        return self.resample(matches, draws.astype(np.float64))

    def num_videos(self, matches: State) -> int:
        """V."""
        return len(matches.video_ids)

    @property
    def _identity(self) -> str:
        return f"{self.key} {self.version}"

    @property
    def _kind(self) -> str:
        """What it takes, in words."""
        return self.takes.replace("_", " ")

    def _require_own(self, matches: State) -> None:
        if matches.protocol != self._identity:
            raise ValueError(
                f"matched by '{matches.protocol}', not by '{self._identity}'; match the {self._kind} again"
            )

    def _check_choice(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise ValueError(f"{name}: '{getattr(self, name)}' is none of {', '.join(allowed)}")
