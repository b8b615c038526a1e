"""The tracker: a thread of the driver that carries the records to MLflow.

The record's ``metrics.jsonl`` is the spool: what has been sent is counted in ``mlflow.json`` beside it, and what has
not is sent whenever the server answers - in this launch or the next. Nothing here ever stops a trial.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tadtune.plan.trial import Trial
from tadtune.track.files import read_json, write_json
from tadtune.track.mlflow_tracking.runs import MlflowStore, Summary
from tadtune.track.record import TrialRecord
from tadtune.track.study_folder import StudyFolder

#: Waits between attempts while the server is away, seconds.
_WAITS_S = (0.5, 1.0, 2.0, 5.0)
#: Files of a record that become artifacts of its run.
_ARTIFACTS = ("trial.json", "artifacts/detections_test.json", "artifacts/per_class_test.json")


@dataclass(frozen=True)
class Labels:
    """What a person reads in MLflow about a trial.

    Attributes:
        name: of the run.
        tags: of the run.
        params: name -> value.
    """

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, Any]


class Tracker:
    """Sends the study's records to MLflow in the background.

    Args:
        uri: tracking address.
        experiment: name of the study.
        folder: of the study.
        labels: trial -> its name, tags and params.
        launch_tags: tags of this launch's parent run.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        folder: StudyFolder,
        labels: Callable[[str, Trial], Labels],
        launch_tags: Mapping[str, str],
    ) -> None:
        self._uri = uri
        self._experiment = experiment
        self._folder = folder
        self._labels = labels
        self._launch_tags = launch_tags
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._store: MlflowStore | None = None
        self._parent: str | None = None
        self._pending: dict[str, None] = {}
        self._summaries: Sequence[Summary] = ()
        self._closing: tuple[str, Mapping[str, float], Sequence[Path]] | None = None
        self._error: str = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)

    def start(self) -> None:
        """Begin; every record of the study is checked, so that an earlier launch's leftovers are sent."""
        for trial_id in self._folder.records():
            self._queue.put(trial_id)
        self._thread.start()

    def changed(self, trial_id: str) -> None:
        """A trial reported or ended."""
        self._queue.put(trial_id)

    def state(self) -> str:
        """In words, "" when all is well."""
        return f"MLflow away, {len(self._pending)} trials in the spool" if self._error else ""

    def close(
        self,
        *,
        status: str,
        metrics: Mapping[str, float],
        summaries: Sequence[Summary],
        artifacts: Sequence[Path],
        timeout_s: float,
    ) -> str:
        """Send what is left and end the parent run.

        Returns:
            "" when everything was sent, else what was not, in words; the next launch sends it.
        """
        self._summaries = summaries
        self._closing = (status, metrics, artifacts)
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._stop.set()
        if not self._thread.is_alive() and not self._error:
            return ""
        reason = self._error or "still writing"
        return f"MLflow at {self._uri} did not take everything ({reason}); the same command again sends the rest."

    def _work(self) -> None:
        """The thread: drain the queue, retry while the server is away."""
        closing = False
        attempt = 0
        while not self._stop.is_set():
            closing = self._drain(wait=not self._pending and not closing) or closing
            try:
                self._send()
                if closing:
                    self._send_closing()
                self._error, attempt = "", 0
                if closing and self._queue.empty():
                    return
            except Exception as error:  # whatever the client raises: the spool keeps what was not sent
                self._error = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                self._store = self._store if self._parent is not None else None
                self._stop.wait(_WAITS_S[min(attempt, len(_WAITS_S) - 1)])
                attempt += 1

    def _drain(self, *, wait: bool) -> bool:
        """Move what is queued into ``_pending``; whether the end was asked for."""
        closing = False
        try:
            item = self._queue.get(timeout=1.0) if wait else self._queue.get_nowait()
            while True:
                if item is None:
                    closing = True
                else:
                    self._pending[item] = None
                item = self._queue.get_nowait()
        except queue.Empty:
            return closing

    def _open(self) -> tuple[MlflowStore, str]:
        if self._store is None:
            self._store = MlflowStore(self._uri, self._experiment, self._folder.storage / "mlartifacts")
        if self._parent is None:
            name = time.strftime("launch %Y-%m-%d %H:%M:%S")
            self._parent = self._store.start_launch(name, self._launch_tags)
        return self._store, self._parent

    def _send(self) -> None:
        store, parent = self._open()
        while self._pending:
            trial_id = next(iter(self._pending))
            self._sync(store, parent, trial_id, self._folder.record(trial_id))
            del self._pending[trial_id]

    def _sync(self, store: MlflowStore, parent: str, trial_id: str, record: TrialRecord) -> None:
        trial = record.trial()
        sent = read_json(record.folder / "mlflow.json") or {"reports": 0, "ended": "", "uri": self._uri}
        if sent["uri"] != self._uri:  # another server: everything is sent again
            sent = {"reports": 0, "ended": "", "uri": self._uri}
        result = record.result()
        ended = "" if result is None else f"{result.status} {result.finished_at}"
        reports = record.reports()
        if trial is None or (sent["reports"] == len(reports) and sent["ended"] == ended):
            return
        labels = self._labels(trial_id, trial)
        began = reports[0].time - reports[0].seconds if reports else time.time()
        run_id = store.trial_run(trial_id, parent, labels.name, began, labels.tags)
        for report in reports[sent["reports"] :]:
            store.log_report(run_id, report, labels.params if sent["reports"] == 0 else {})
            sent["reports"] += 1
        if result is not None and sent["ended"] != ended:
            paths = [record.folder / name for name in _ARTIFACTS]
            store.end_trial(run_id, result, [path for path in paths if path.is_file()])
            sent["ended"] = ended
        write_json(record.folder / "mlflow.json", {**sent, "run_id": run_id})

    def _send_closing(self) -> None:
        store, parent = self._open()
        for summary in self._summaries:
            store.put_summary(summary)
        self._summaries = ()
        if self._closing is not None:
            status, metrics, artifacts = self._closing
            store.end_launch(parent, status, metrics, artifacts)
            self._closing = None
