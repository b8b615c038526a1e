"""Numbers and names as people read them: percent, one decimal for scores, two for differences."""

from __future__ import annotations

from tadtune.track.statistics import Difference, MetricStatistics, RowStatistics

NONE = "–"
MINUS = "−"


def score(value: float | None) -> str:
    """A score in percent."""
    return NONE if value is None else _fixed(100 * value, 1)


def gap(value: float | None) -> str:
    """A difference in points, with its sign."""
    if value is None:
        return NONE
    shown = _fixed(100 * value, 2)
    return shown if shown.startswith(MINUS) or float(shown) == 0 else f"+{shown}"


def gap_interval(difference: Difference) -> str:
    """``[low, high]`` in points."""
    if difference.interval is None:
        return "[no interval]"
    return f"[{gap(difference.interval.low)}, {gap(difference.interval.high)}]"


def points(value: float) -> str:
    """A spread in points, without a sign."""
    return _fixed(100 * value, 2)


def plain_number(value: float) -> str:
    """Two decimals, as for a correlation."""
    return _fixed(value, 2)


def _fixed(value: float, digits: int) -> str:
    rounded = round(value, digits) + 0.0  # no negative zero
    return f"{rounded:.{digits}f}".replace("-", MINUS)


def count(number: int, word: str) -> str:
    """A number of things, for instance "1 row" or "2 rows"."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def metric_title(metric: str) -> str:
    """``map_tiou_0.50`` -> "mAP@0.50"."""
    if metric.startswith("map_tiou_"):
        return f"mAP@{metric.removeprefix('map_tiou_')}"
    known = {
        "avg_map": "average mAP",
        "frame_map": "per-frame mAP",
        "frame_map_smoothed": "per-frame mAP, smoothed",
        "frame_map_25": "mAP of 25 frames",
        "frame_wap_25": "mAP of 25 frames, classes weighted by positives",
        "frame_nap_25": "mAP of 25 frames, normalised",
    }
    return known.get(metric, metric)


def split_title(split: str) -> str:
    """A split, and whether inference values were searched; otherwise they are the study's own."""
    name, _, variant = split.partition("_")
    return f"{name}, inference values tuned on select" if variant else name


def mean_text(statistics: MetricStatistics | None) -> str:
    """Mean and half the t-interval over seeds."""
    if statistics is None:
        return NONE
    if statistics.interval is None:
        return score(statistics.mean)
    return f"{score(statistics.mean)} ± {score(statistics.interval.high - statistics.mean)}"


def seeds_text(statistics: RowStatistics) -> str:
    """How many seeds a mean stands on, never hiding what is missing."""
    planned, finished = len(statistics.states), len(statistics.finished)
    if statistics.complete:
        return count(planned, "seed")
    states = list(statistics.states.values())
    lost = [f"{states.count(s)} {s}" for s in ("failed", "pruned", "missing") if s in states]
    return f"{finished} of {planned} seeds, {', '.join(lost)}"


def sign_text(difference: Difference | None) -> str:
    """Whether a difference has the paper's sign, and whether it is more than chance."""
    if difference is None or difference.sign_agrees is None:
        return NONE
    word = "agrees" if difference.sign_agrees else "opposite"
    return word + {True: "", False: ", within noise", None: ", no interval"}[difference.excludes_zero]
