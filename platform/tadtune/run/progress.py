"""What a person sees while trials run."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tadtune.spec.study import Metric
from tadtune.track.record import Result

#: Where there is no terminal, one line at most so often, seconds.
PLAIN_INTERVAL_S = 15.0


class Progress:
    """Counts, best so far and time left; a live block on a terminal, plain lines elsewhere.

    Args:
        console: where to write.
        name: of the study.
        metric: what is optimised.
        total: trials of the whole study.
        done: results known before this launch, by trial id.
        label: trial id -> what a person calls the trial.
        tracker: state of the tracker in words, or "".
    """

    def __init__(
        self,
        console: Console,
        name: str,
        metric: Metric,
        total: int,
        done: dict[str, Result],
        label: Callable[[str], str],
        tracker: Callable[[], str],
    ) -> None:
        self._console = console
        self._name = name
        self._metric = metric
        self._total = total
        self._before = len(done)
        self._results = dict(done)
        self._running: dict[str, tuple[int, int, float | None]] = {}
        self._label = label
        self._tracker = tracker
        self._began = time.monotonic()
        self._last_line = 0.0
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=2, transient=True)

    def __enter__(self) -> Progress:
        """Start showing."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop showing."""
        if self._console.is_terminal:
            self._live.stop()

    def reported(self, trial_id: str, epoch: int, num_epochs: int, value: float | None) -> None:
        """A trial reported."""
        self._running[trial_id] = (epoch, num_epochs, value)

    def ended(self, trial_id: str, result: Result) -> None:
        """A trial ended."""
        self._running.pop(trial_id, None)
        self._results[trial_id] = result
        now = time.monotonic()
        if result.status == "failed":
            reason = (result.error or "").strip().splitlines()[-1:] or ["no reason recorded"]
            self._console.print(f"[red]failed[/red] {self._label(trial_id)}: {Text(reason[0])}")
        last = len(self._results) >= self._total
        if not self._console.is_terminal and (last or now - self._last_line > PLAIN_INTERVAL_S):
            self._last_line = now
            self._console.print(self.line(), soft_wrap=True)

    def settle(self, results: dict[str, Result]) -> None:
        """Take the final results, those taken over from other studies included."""
        self._results = dict(results)

    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        counts = {"complete": 0, "pruned": 0, "failed": 0}
        for result in self._results.values():
            counts[result.status] += 1
        return counts | {"running": len(self._running)}

    def line(self) -> str:
        """One line of everything."""
        counts = self.counts()
        shown = f"{self._name}: {counts['complete']} done, {counts['running']} running"
        shown += f", {counts['pruned']} pruned, {counts['failed']} failed of {self._total}"
        best = self._best()
        if best is not None:
            shown += f" | best {self._metric.name} {100 * best[1]:.1f} ({self._label(best[0])})"
        left = self._seconds_left()
        shown += f" | about {_duration(left)} left" if left else ""
        tracker = self._tracker()
        return shown + (f" | {tracker}" if tracker else "")

    def render(self) -> RenderableType:
        """The live block."""
        table = Table.grid(padding=(0, 2))
        for trial_id, (epoch, num_epochs, value) in list(self._running.items()):
            shown = "" if value is None else f"{100 * value:.1f}"
            bar = ProgressBar(total=max(num_epochs, 1), completed=epoch, width=24)
            table.add_row(f"  {self._label(trial_id)}", bar, f"epoch {epoch}/{num_epochs}", shown)
        return Group(Text(self.line()), table)

    def _best(self) -> tuple[str, float] | None:
        scored = [(i, r.objective) for i, r in self._results.items() if r.status == "complete" and r.objective]
        return max(scored, key=lambda pair: self._metric.sign * pair[1]) if scored else None

    def _seconds_left(self) -> float | None:
        new = len(self._results) - self._before
        left = self._total - len(self._results)
        return (time.monotonic() - self._began) / new * left if new and left > 0 else None


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
