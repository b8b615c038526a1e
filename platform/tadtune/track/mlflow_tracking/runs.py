"""Runs of a study in MLflow: found again by their tags, never created twice."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tadtune.plan.trial import digest
from tadtune.spec.errors import StudyError
from tadtune.track.mlflow_tracking.check import tracking_problem, without_password
from tadtune.track.mlflow_tracking.database import make_sqlite
from tadtune.track.record import Report, Result

# A dead server must not hold a client for minutes: what is not sent stays in the spool.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

_MAX_PARAMS = 100
_MAX_PARAM_LENGTH = 6000
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
KIND = "tadtune.kind"
TRIAL_ID = "tadtune.trial_id"
CONTENT = "tadtune.content"
PARENT = "mlflow.parentRunId"


def default_uri(storage: Path) -> str:
    """Where runs go without a server: one SQLite file beside the studies."""
    return f"sqlite:///{(storage / 'mlflow.db').resolve()}"


def check_tracking(uri: str) -> None:
    """A study must be able to record before anything is taken.

    Raises:
        StudyError: it is not, or the address holds a password; what is wrong and the way out.
    """
    shown, password = without_password(uri)
    if password:
        raise StudyError(
            [
                f"tracking: {shown}: holds a password as well, which messages and records would show; take it out, and "
                "set MLFLOW_TRACKING_PASSWORD and MLFLOW_TRACKING_USERNAME (PGPASSWORD for PostgreSQL)."
            ]
        )
    problem = tracking_problem(uri)
    if problem:
        raise StudyError([f"tracking: {problem}"])


@dataclass(frozen=True)
class Summary:
    """One run that stands for many: a row's statistics, or a row of the paper's table.

    Attributes:
        kind: "aggregate" or "reference".
        name: of the run.
        metrics: name -> value, fractions.
        tags: further tags; together with kind and name they are the run's identity.
    """

    kind: str
    name: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class MlflowStore:
    """One experiment: a run per launch, trial, row and paper row.

    Args:
        uri: tracking address.
        experiment: its name, the study's.
        artifact_root: folder for artifacts when there is no server to keep them.
    """

    def __init__(self, uri: str, experiment: str, artifact_root: Path) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        make_sqlite(uri)
        self._client = MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(experiment)
        if found is not None:
            self._experiment = found.experiment_id
        else:
            location = None if uri.startswith("http") else (artifact_root / experiment).resolve().as_uri()
            try:
                self._experiment = self._client.create_experiment(experiment, artifact_location=location)
            except MlflowException:  # another driver created it meanwhile
                again = self._client.get_experiment_by_name(experiment)
                if again is None:
                    raise
                self._experiment = again.experiment_id
        self._runs = self._find_runs()

    def _find_runs(self) -> dict[tuple[str, str], Any]:
        """(kind, key) -> run, from the tags of every run of the experiment."""
        runs: dict[tuple[str, str], Any] = {}
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token)
            for run in page:
                tags = run.data.tags
                if KIND in tags:
                    runs[(tags[KIND], tags.get(TRIAL_ID) or run.info.run_name)] = run
            token = page.token
            if not token:
                return runs

    def start_launch(self, name: str, tags: Mapping[str, str]) -> str:
        """A parent run for this launch; launches whose driver died are closed."""
        for (kind, _), run in self._runs.items():
            if kind == "launch" and run.info.status == "RUNNING":
                self._client.set_terminated(run.info.run_id, status="KILLED")
        run = self._client.create_run(self._experiment, run_name=name, tags={KIND: "launch", **tags})
        return str(run.info.run_id)

    def end_launch(self, run_id: str, status: str, metrics: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        """Close the parent run with the study's reports."""
        self._log_metrics(run_id, metrics, time_ms=_now_ms(), step=0)
        for path in artifacts:
            self._client.log_artifact(run_id, str(path), artifact_path="report")
        self._client.set_terminated(run_id, status=status)

    def trial_run(self, trial_id: str, parent: str, name: str, start_s: float, tags: Mapping[str, str]) -> str:
        """The run of a trial: the one that exists, or a new one."""
        known = self._runs.get(("trial", trial_id))
        if known is None:
            known = self._client.create_run(
                self._experiment,
                start_time=int(start_s * 1000),
                run_name=name,
                tags={KIND: "trial", TRIAL_ID: trial_id, PARENT: parent, **tags},
            )
            self._runs[("trial", trial_id)] = known
        return str(known.info.run_id)

    def log_report(self, run_id: str, report: Report, params: Mapping[str, Any]) -> None:
        """One request for one report; its time stamp comes from the record, so that a replay changes nothing."""
        from mlflow.entities import Metric, Param

        time_ms = int(report.time * 1000)
        metrics = [Metric(name, value, time_ms, report.epoch) for name, value in sorted(report.metrics.items())]
        chosen = [Param(k, str(v)[:_MAX_PARAM_LENGTH]) for k, v in sorted(params.items())[:_MAX_PARAMS]]
        self._client.log_batch(run_id, metrics=metrics, params=chosen)

    def end_trial(self, run_id: str, result: Result, artifacts: Sequence[Path]) -> None:
        """Final metrics, artifacts and status of a trial."""
        from mlflow.entities import Metric, RunTag

        time_ms = int(result.finished_at * 1000)
        metrics = [Metric(k, v, time_ms, result.epochs) for k, v in sorted(result.metrics.items())]
        if result.objective is not None:
            metrics.append(Metric("objective", result.objective, time_ms, result.epochs))
        tags = [RunTag("tadtune.status", result.status)]
        tags += [RunTag(f"tuned.{path}", str(value)) for path, value in sorted(result.inference.items())]
        if result.error:
            tags.append(RunTag("tadtune.error", result.error[-5000:]))
            tags.append(RunTag("tadtune.failure", result.kind))
        self._client.log_batch(run_id, metrics=metrics, tags=tags)
        for path in artifacts:
            self._client.log_artifact(run_id, str(path))
        self._client.set_terminated(run_id, status=_STATUS[result.status], end_time=time_ms)

    def put_summary(self, summary: Summary) -> str:
        """Create or renew a summary run; unchanged content is not written again."""
        content = digest([dict(summary.metrics), dict(summary.tags)])
        known = self._runs.get((summary.kind, summary.name))
        if known is not None and known.data.tags.get(CONTENT) == content:
            return str(known.info.run_id)
        if known is None:
            tags = {KIND: summary.kind, **summary.tags}
            known = self._client.create_run(self._experiment, run_name=summary.name, tags=tags)
            self._runs[(summary.kind, summary.name)] = known
        run_id = str(known.info.run_id)
        for name, value in summary.tags.items():
            self._client.set_tag(run_id, name, value)
        self._log_metrics(run_id, summary.metrics, time_ms=_now_ms(), step=0)
        self._client.set_tag(run_id, CONTENT, content)
        self._client.set_terminated(run_id, status="FINISHED")
        return run_id

    def _log_metrics(self, run_id: str, metrics: Mapping[str, float], *, time_ms: int, step: int) -> None:
        from mlflow.entities import Metric

        if metrics:
            self._client.log_batch(run_id, metrics=[Metric(k, v, time_ms, step) for k, v in sorted(metrics.items())])


def _now_ms() -> int:
    return int(time.time() * 1000)
