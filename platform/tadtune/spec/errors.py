"""Errors a user can act on: each line names the key or file, the rule, the value and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class StudyError(ValueError):
    """Something a study asks for is wrong; nothing has started.

    Args:
        lines: one complaint a line, all that could be found at once.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(self.lines))

    def __reduce__(self) -> tuple[type[StudyError], tuple[list[str]]]:
        return (type(self), (self.lines,))


def nearest(word: str, known: Iterable[str]) -> str:
    """Hint of the nearest valid word, with a leading space and full stop, for the end of a complaint."""
    candidates = sorted(known)
    tail = word.rsplit(".", 1)[-1]
    # a path given too short or under the wrong section, else a slip of the pen
    close = [c for c in candidates if c.rsplit(".", 1)[-1] == tail][:1]
    close = close or get_close_matches(word, candidates, n=1, cutoff=0.5)
    if close:
        return f" Did you mean '{close[0]}'?"
    shown = ", ".join(candidates[:12]) + (", ..." if len(candidates) > 12 else "")
    return f" Known: {shown}." if candidates else ""
