"""Rules that every reader holds annotated times and numbers against."""

from __future__ import annotations

import math
from typing import Any

from trainables.data.annotations import FaultLog
from trainables.data.schema import Segment

#: A segment that ends this much after its video does so by rounding.
ROUNDING_S = 1e-6


def read_number(value: Any, where: str, faults: FaultLog) -> float:
    """A finite number; one stored as text is read and counted.

    Raises:
        ValueError: anything else.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {value!r} is not a number") from error
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"{where}: {value!r} is not a finite number")
    if isinstance(value, str):
        faults.add("number stored as text", f"{where}: {value!r}", "read as a number")
    return number


def read_positive(value: Any, where: str, faults: FaultLog) -> float | None:
    """A positive number, or None where the file has none.

    Raises:
        ValueError: a number that is not positive.
    """
    if value is None:
        return None
    number = read_number(value, where, faults)
    if number <= 0:
        raise ValueError(f"{where}: {value!r} must be positive")
    return number


def make_segment(
    start_s: float,
    end_s: float,
    label: int,
    *,
    duration_s: float | None,
    where: str,
    faults: FaultLog,
    ambiguous: bool = False,
) -> Segment | None:
    """One annotated segment, or None where it cannot stay.

    Published files hold segments that end before they start or have no length (left out: nothing can match them) and
    segments that end after their video (kept as they are: so do all public evaluators).

    Args:
        start_s: seconds.
        end_s: seconds.
        label: class id.
        duration_s: of the video, None = unknown.
        where: in the file's own terms.
        faults: where to count.
        ambiguous: excuses a miss, is no instance.

    Raises:
        ValueError: a start before the video.
    """
    if start_s < 0:
        raise ValueError(f"{where}: [{start_s}, {end_s}] starts before the video")
    if end_s <= start_s:
        rule = "segment without length" if end_s == start_s else "segment ends before it starts"
        faults.add(rule, f"{where}: [{start_s}, {end_s}]", "left out")
        return None
    if duration_s is not None and end_s > duration_s + ROUNDING_S:
        faults.add("segment ends after its video", f"{where}: [{start_s}, {end_s}] of {duration_s} s", "kept")
    return Segment(start_s, end_s, label, ambiguous)
