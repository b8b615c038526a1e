"""What differences a number of seeds can resolve, and what a plan will cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Ten seeds of TadTR on THUMOS'14, average mAP 55.43 +- 0.47: what to expect before anything was measured here.
DEFAULT_SEED_SD = 0.0047
DEFAULT_SEED_SD_SOURCE = "ten TadTR seeds on THUMOS'14"


@dataclass(frozen=True)
class SeedNoise:
    """Spread between seeds of the same configuration.

    Attributes:
        sd: standard deviation of the metric.
        source: where it comes from.
    """

    sd: float
    source: str


def seed_noise(values_by_row: Mapping[str, Sequence[float]]) -> SeedNoise:
    """Pooled standard deviation over rows with two or more finished seeds, or a published one."""
    squares, freedom, trials = 0.0, 0, 0
    for values in values_by_row.values():
        if len(values) >= 2:
            mean = sum(values) / len(values)
            squares += sum((v - mean) ** 2 for v in values)
            freedom += len(values) - 1
            trials += len(values)
    if freedom == 0:
        return SeedNoise(DEFAULT_SEED_SD, DEFAULT_SEED_SD_SOURCE)
    return SeedNoise(math.sqrt(squares / freedom), f"{trials} finished trials of this study")


def detectable_difference(sd: float, seeds: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest true difference of two rows that a two-sided t-test finds with the given power.

    Args:
        sd: standard deviation between seeds.
        seeds: per row.
        power: probability of finding the difference.
        alpha: probability of finding one that is not there.

    Returns:
        The difference in the metric's unit; infinite for fewer than two seeds, 0 where the seeds do not differ.
    """
    if seeds < 2:
        return math.inf
    from scipy import optimize, stats

    freedom = 2 * seeds - 2
    critical = float(stats.t.ppf(1 - alpha / 2, freedom))

    def missing_power(shift: float) -> float:
        return float(stats.nct.sf(critical, freedom, shift)) - power

    return sd * float(optimize.brentq(missing_power, 0.0, 20.0)) / math.sqrt(seeds / 2)


@dataclass(frozen=True)
class Cost:
    """Expected effort of what is left.

    Attributes:
        trials: trials left.
        process_seconds: seconds of trial time, all trials together; None until one has finished.
        wall_s: seconds on the clock with ``concurrency`` trials at a time; None likewise.
    """

    trials: int
    process_seconds: float | None
    wall_s: float | None


def estimate_cost(trials_left: int, finished_seconds: Sequence[float], concurrency: int) -> Cost:
    """Cost from the median duration of finished trials."""
    if not finished_seconds or trials_left == 0:
        return Cost(trials_left, 0.0 if trials_left == 0 else None, 0.0 if trials_left == 0 else None)
    ordered = sorted(finished_seconds)
    median = ordered[len(ordered) // 2]
    return Cost(trials_left, median * trials_left, median * math.ceil(trials_left / concurrency))
