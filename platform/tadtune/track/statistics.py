"""Statistics of rows: spread over seeds, paired differences, agreement with the paper's order.

Metrics go by their full names (``test/avg_map``) and are fractions. Letters: S seeds, R resamples, V videos.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from tadtune.plan.power import detectable_difference, seed_noise
from tadtune.track.record import Result

CONFIDENCE = 0.95
RESAMPLES = 1000
BOOTSTRAP_SEED = 0
_NORMAL_975 = 1.959964  # quantile of the normal distribution

FloatArray = npt.NDArray[np.float64]
State = Literal["complete", "pruned", "failed", "missing"]
Method = Literal["bootstrap_videos_seeds", "bootstrap_videos", "t_seeds", "none"]
#: Full metric name -> seed -> (R,) values under the same weights of the videos.
Resampled = Mapping[str, Mapping[int, FloatArray]]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, both ends included."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class MetricStatistics:
    """One metric of one row.

    Attributes:
        values: seed -> value, finished seeds only.
        mean: over them.
        sd: standard deviation with one degree of freedom taken off, None for one seed.
        interval: t-interval of the mean over seeds, None for one seed.
    """

    values: Mapping[int, float]
    mean: float
    sd: float | None
    interval: Interval | None


def metric_statistics(values: Mapping[int, float]) -> MetricStatistics:
    """Mean, standard deviation and t-interval over seeds.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("values: no finished seed, so there is no mean; leave the metric out")
    array = np.asarray([values[seed] for seed in sorted(values)])
    mean = float(array.mean())
    if len(array) < 2:
        return MetricStatistics(dict(values), mean, None, None)
    return MetricStatistics(dict(values), mean, float(array.std(ddof=1)), t_interval(array))


def t_interval(values: FloatArray) -> Interval:
    """Student's interval of the mean of two or more values."""
    from scipy import stats

    size = len(values)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, size - 1)) * float(values.std(ddof=1)) / math.sqrt(size)
    mean = float(values.mean())
    return Interval(mean - half, mean + half)


@dataclass(frozen=True)
class RowStatistics:
    """A row over its seeds.

    Attributes:
        row: its key.
        states: planned seed -> how its trial stands; "missing" = not finished.
        metrics: full metric name -> statistics over the complete seeds.
    """

    row: str
    states: Mapping[int, State]
    metrics: Mapping[str, MetricStatistics]

    @property
    def finished(self) -> tuple[int, ...]:
        """Seeds whose trial is complete."""
        return tuple(seed for seed, state in self.states.items() if state == "complete")

    @property
    def complete(self) -> bool:
        """Whether every planned seed is."""
        return len(self.finished) == len(self.states)


def row_statistics(row: str, results: Mapping[int, Result | None]) -> RowStatistics:
    """Statistics of a row; only complete trials have a score.

    Args:
        row: its key.
        results: planned seed -> how its trial ended, None while it has not.
    """
    states: dict[int, State] = {s: "missing" if r is None else r.status for s, r in results.items()}
    values: dict[str, dict[int, float]] = {}
    for seed, result in results.items():
        if result is not None and result.status == "complete":
            for name, value in result.metrics.items():
                if math.isfinite(value):
                    values.setdefault(name, {})[seed] = value
    return RowStatistics(row, states, {name: metric_statistics(v) for name, v in sorted(values.items())})


@dataclass(frozen=True)
class Difference:
    """One metric of a row minus the same metric of the baseline, paired by seed.

    Attributes:
        seeds: finished in both rows.
        mean: of the differences.
        interval: None where nothing can be said (one seed, no matches).
        method: how the interval was made.
        paper: the paper's difference, None unless both of its rows have the metric.
    """

    seeds: tuple[int, ...]
    mean: float
    interval: Interval | None
    method: Method
    paper: float | None = None

    @property
    def excludes_zero(self) -> bool | None:
        """Whether the interval does; None without one."""
        return None if self.interval is None else self.interval.excludes_zero

    @property
    def sign_agrees(self) -> bool | None:
        """Whether ours has the sign of the paper's; None where the paper has none (no value, or exactly zero)."""
        return None if not self.paper else self.mean * self.paper > 0


def differences(
    row: RowStatistics,
    baseline: RowStatistics,
    *,
    resampled: tuple[Resampled, Resampled],
    paper: tuple[Mapping[str, float], Mapping[str, float]],
) -> dict[str, Difference]:
    """Row minus baseline for every metric that has a common finished seed.

    Args:
        row: the row.
        baseline: what it is compared with.
        resampled: of the row and of the baseline; a metric where a common seed is missing falls back to a paired
            t-interval over seeds.
        paper: the paper's values of the two rows as fractions, by metric name without the split.
    """
    found = {}
    for name in sorted(row.metrics.keys() & baseline.metrics.keys()):
        ours, theirs = row.metrics[name].values, baseline.metrics[name].values
        seeds = tuple(sorted(ours.keys() & theirs.keys()))
        if not seeds:
            continue
        gap = np.asarray([ours[seed] - theirs[seed] for seed in seeds])
        arrays = tuple(side.get(name, {}) for side in resampled)
        gaps = None
        if all(seed in side for side in arrays for seed in seeds):
            gaps = np.stack([arrays[0][seed] - arrays[1][seed] for seed in seeds])
        interval, method = _interval(gap, gaps)
        metric = name.split("/", 1)[-1]
        values = tuple(side.get(metric) for side in paper)
        printed = None if values[0] is None or values[1] is None else values[0] - values[1]
        found[name] = Difference(seeds, float(gap.mean()), interval, method, printed)
    return found


def video_weights(num_videos: int) -> FloatArray:
    """(R, V) how often each video is drawn when V are drawn with replacement; the same numbers at every call."""
    generator = np.random.default_rng([BOOTSTRAP_SEED, num_videos])
    return generator.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=RESAMPLES).astype(np.float64)


def bootstrap_interval(gaps: FloatArray) -> Interval:
    """Percentile interval of a mean difference over resampled videos and resampled seeds.

    Args:
        gaps: (S, R) differences of each seed under R resamplings of the videos.
    """
    num_seeds, resamples = gaps.shape
    generator = np.random.default_rng([BOOTSTRAP_SEED, num_seeds])
    draws = generator.integers(num_seeds, size=(resamples, num_seeds))
    means = np.take_along_axis(gaps.T, draws, axis=1).mean(axis=1)
    low, high = np.quantile(means, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Interval(float(low), float(high))


def _interval(gap: FloatArray, gaps: FloatArray | None) -> tuple[Interval | None, Method]:
    """Interval of the mean of (S,) paired differences; ``gaps`` are the same under resampled videos, (S, R).

    Few seeds make a bootstrap too narrow (three seeds that alone cause the spread: 77 % coverage in place of 95 %),
    and a t-interval over seeds knows nothing of the videos: the interval holds both.
    """
    over_seeds = t_interval(gap) if len(gap) > 1 else None
    if gaps is None:
        return over_seeds, "none" if over_seeds is None else "t_seeds"
    drawn = bootstrap_interval(gaps)
    if over_seeds is None:
        return drawn, "bootstrap_videos"
    return Interval(min(drawn.low, over_seeds.low), max(drawn.high, over_seeds.high)), "bootstrap_videos_seeds"


@dataclass(frozen=True)
class RankAgreement:
    """Whether the rows stand in the paper's order.

    Attributes:
        tau: Kendall's tau-b, None for fewer than two rows or where one side knows no order.
        concordant: pairs of rows in the same order on both sides.
        pairs: of rows, ties included.
        rows: compared.
    """

    tau: float | None
    concordant: int
    pairs: int
    rows: int


def rank_agreement(paper: Mapping[str, float], ours: Mapping[str, float]) -> RankAgreement:
    """Agreement in order over the rows that both sides have.

    Args:
        paper: row -> the paper's value.
        ours: row -> our mean.
    """
    from scipy import stats

    rows = [row for row in paper if row in ours]
    pairs = list(combinations(rows, 2))
    concordant = sum((paper[a] - paper[b]) * (ours[a] - ours[b]) > 0 for a, b in pairs)
    known_order = all(len({side[row] for row in rows}) > 1 for side in (paper, ours))
    tau = None
    if known_order:
        tau = float(stats.kendalltau([paper[row] for row in rows], [ours[row] for row in rows]).statistic)
    return RankAgreement(tau, concordant, len(pairs), len(rows))


@dataclass(frozen=True)
class Noise:
    """What chance alone does in this study.

    Attributes:
        sd: standard deviation between seeds of the same configuration.
        source: where it comes from.
        seeds: per row.
        detectable: smallest true difference found with 80 % power at the 5 % level; None with one seed.
        by_chance: 95 % of the differences between two single runs of equal rows lie below this.
    """

    sd: float
    source: str
    seeds: int
    detectable: float | None
    by_chance: float


def study_noise(rows: Mapping[str, RowStatistics], metric: str, seeds: int) -> Noise:
    """Noise between seeds, pooled over the rows, and the difference that ``seeds`` per row can find."""
    noise = seed_noise(
        {key: list(row.metrics[metric].values.values()) for key, row in rows.items() if metric in row.metrics}
    )
    smallest = detectable_difference(noise.sd, seeds)
    by_chance = _NORMAL_975 * math.sqrt(2) * noise.sd
    return Noise(noise.sd, noise.source, seeds, smallest if math.isfinite(smallest) else None, by_chance)
