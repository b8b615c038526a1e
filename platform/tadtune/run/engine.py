"""From a study to finished trials: check, reconcile, run, record. The same call again resumes."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tadtune.plan.ablation import plan_ablation
from tadtune.plan.definition import study_definition
from tadtune.plan.trial import Trial
from tadtune.run.job import Job
from tadtune.run.labels import launch_tags, make_labeller
from tadtune.run.placement import DRIVER_RESOURCES, fitting_trials
from tadtune.run.preflight import (
    Prepared,
    check_are_folders,
    check_batches,
    check_data_unchanged,
    check_disk,
    check_storage_from_workers,
    check_store_from_workers,
    prepare_data,
)
from tadtune.run.progress import Progress
from tadtune.run.session import is_cluster, ray_session
from tadtune.run.stop import HARD_STOP_S, STORE_STOP_S, stop_on_signals
from tadtune.search.source import ListSource, TrialSource
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Study
from tadtune.track.checkpoints import CheckpointBudget
from tadtune.track.mlflow_tracking.runs import Summary, check_tracking, default_uri
from tadtune.track.mlflow_tracking.tracker import Tracker
from tadtune.track.record import Result
from tadtune.track.storage import storage_folder, study_folder
from tadtune.track.study_folder import StudyFolder


@dataclass(frozen=True)
class Settings:
    """Where a launch keeps its things.

    Attributes:
        storage: folder of all studies, or the address of an object store.
        data_root: folder of data sets.
        tracking_uri: MLflow's address, None = a local file in ``storage`` or its copy on this machine.
        address: of a Ray cluster, None = local.
        only_failed: run nothing but the trials that failed before.
        flush_s: seconds to wait for the tracking server at the end.
        store_patience_s: seconds to wait for an object store that takes nothing, before trials start and at the end.
    """

    storage: Path | str
    data_root: Path
    tracking_uri: str | None = None
    address: str | None = None
    only_failed: bool = False
    flush_s: float = 30.0
    store_patience_s: float = 120.0


@dataclass(frozen=True)
class Outcome:
    """What a launch left behind.

    Attributes:
        folder: of the study.
        counts: trials by status, all launches together.
        ran: trials this launch ran.
        interrupted: the launch was asked to stop.
        unsent: what the tracking server did not take, in words, or "".
        unstored: what the object store did not take, in words, or "".
    """

    folder: StudyFolder
    counts: Mapping[str, int]
    ran: int
    interrupted: bool
    unsent: str
    unstored: str


#: Makes the summary runs and the report files at the end: (study, folder) -> (summaries, files).
Concluder = Callable[[Study, StudyFolder], tuple[list[Summary], list[Path]]]


def run_study(study: Study, settings: Settings, console: Console, conclude: Concluder) -> Outcome:
    """Run what is left of a study.

    Raises:
        tadtune.spec.errors.StudyError: something does not fit; nothing was started and nothing recorded was changed.
    """
    resume = f"stopped; `tadtune run {study.name}` with the same options resumes"
    with (
        prepare_launch(study, settings, console) as launch,
        ray_session(settings.address, dashboard=study.resources.workers > 0) as nodes,
    ):
        concurrency = fitting_trials(study.resources, nodes)
        stop_s = STORE_STOP_S if launch.folder.is_copy else HARD_STOP_S
        if launch.folder.is_copy and is_cluster(settings.address):
            check_store_from_workers(str(settings.storage))
            launch.folder.let_workers_write()
        else:
            check_storage_from_workers(launch.folder.path)
        # inside the session: Ray installs handlers of its own as it starts
        with stop_on_signals(resume, stop_s) as stop:
            return launch.run(concurrency, conclude, stop)


@contextmanager
def prepare_launch(study: Study, settings: Settings, console: Console) -> Iterator[Launch]:
    """Everything that can be checked without a cluster; the study's folder is held while the launch is in use.

    Raises:
        tadtune.spec.errors.StudyError: something does not fit; nothing recorded was changed.
    """
    storage = storage_folder(str(settings.storage))
    check_are_folders({"storage": storage, "data": settings.data_root})
    settings = dataclasses.replace(settings, data_root=settings.data_root.resolve())
    uri = settings.tracking_uri or default_uri(storage)
    check_batches(study)
    check_disk(storage)
    check_tracking(uri)
    folder = study_folder(str(settings.storage), study.slug, console.print)
    with folder.lock():
        definition = folder.check_definition(study_definition(study))
        data = prepare_data(study, settings.data_root)
        check_data_unchanged(folder, {prepared.digest for prepared in data.values()})
        launch = Launch(study, folder, settings, uri, data, definition, console)
        if settings.only_failed and not launch.failed:
            raise StudyError([f"{folder.path}: no trial failed; `tadtune run {study.name}` runs what is left."])
        yield launch


class Launch:
    """One launch of a study; only its methods change state.

    Args:
        study: what to run.
        folder: of the study, held by the caller.
        settings: with absolute paths.
        uri: tracking address.
        data: each row's data set.
        definition: of the study, to be kept once trials start.
        console: where to write.
    """

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        settings: Settings,
        uri: str,
        data: Mapping[str, Prepared],
        definition: dict[str, Any],
        console: Console,
    ) -> None:
        results = {trial_id: record.result() for trial_id, record in folder.records().items()}
        self.failed = [trial_id for trial_id, result in results.items() if result and result.status == "failed"]
        self._definition = definition
        self._study = study
        self.folder = folder
        self._settings = settings
        self._dropped = 0
        self._data = data
        self._console = console
        self._planned = plan_ablation(study) if study.ablation is not None else []
        self._rows = {planned.trial.id: planned.row for planned in reversed(self._planned)}  # the first of equal rows
        self._name_of = make_labeller(study, self._planned)
        self._tracker = Tracker(uri, study.name, folder, self._name_of, launch_tags(study))

    def run(self, concurrency: int, conclude: Concluder, stop: threading.Event) -> Outcome:
        """Run the trials, then conclude."""
        from tadtune.search.tune_adapters import EventStopper, ReportListener, SourceScheduler, SourceSearcher

        source, finished = self.begin()
        unstored = self.folder.flush(self._settings.store_patience_s)
        if unstored:  # a failure that is still there would be taken for a result
            raise StudyError([unstored])
        progress = Progress(
            self._console,
            self._study.name,
            self._study.metric,
            source.total(),
            finished,
            self._short_name,
            lambda: ", ".join(filter(None, (self._tracker.state(), self.folder.state()))),
        )

        def stopping() -> bool:
            return stop.is_set() or self.folder.lost

        budget = self._checkpoint_budget(finished)

        def ended(trial_id: str, result: Result) -> None:
            progress.ended(trial_id, result)
            self._tracker.changed(trial_id)
            self._keep_checkpoints(budget, trial_id, result)

        metric = f"select/{self._study.metric.name}"

        def reported(trial_id: str, report: Mapping[str, Any]) -> None:
            progress.reported(trial_id, int(report["epoch"]), int(report["num_epochs"]), report.get(metric))
            self._tracker.changed(trial_id)
            self.folder.publish(trial_id)

        searcher = SourceSearcher(source, self.folder, self._tune_config, ended, stopping)
        scheduler = SourceScheduler(searcher, source, metric)
        self._tracker.start()
        if len(finished) < source.total():
            listener, stopper = ReportListener(reported), EventStopper(stopping)
            with progress:
                _fit(self._study, self.folder, searcher, scheduler, listener, stopper, concurrency)
        progress.settle(self._finished())
        self._console.print(progress.line(), soft_wrap=True)
        if self._dropped:
            self._console.print(f"{self._dropped} checkpoints dropped (budget.checkpoints): the best and the last stay")
        ran = len(self._finished()) - len(finished)
        return self._conclude(progress.counts(), ran, stopping(), conclude)

    def _checkpoint_budget(self, finished: Mapping[str, Result]) -> CheckpointBudget | None:
        """The budget, in the state in which earlier launches left it."""
        keep = None if self._study.sweep is None else self._study.sweep.budget.checkpoints
        if keep is None:
            return None
        budget = CheckpointBudget(keep, self._study.metric.sign)
        for trial_id, result in sorted(finished.items(), key=lambda item: item[1].finished_at):
            self._keep_checkpoints(budget, trial_id, result)
        return budget

    def _keep_checkpoints(self, budget: CheckpointBudget | None, trial_id: str, result: Result) -> None:
        if budget is None or result.status == "failed":
            return
        for loser in budget.ended(trial_id, result.objective if result.status == "complete" else None):
            self._dropped += self.folder.drop_checkpoint(loser)

    def begin(self) -> tuple[TrialSource, dict[str, Result]]:
        """Forget failures, so that they are repeated, and choose what is left.

        Returns:
            The source of trials, and results that count, by trial id.
        """
        self.folder.keep_definition(self._definition)
        for trial_id in self.failed:
            self.folder.record(trial_id).forget_failure()
        return self._source(), self._finished()

    def _conclude(self, counts: Mapping[str, int], ran: int, interrupted: bool, conclude: Concluder) -> Outcome:
        summaries, files = ([], []) if interrupted else conclude(self._study, self.folder)
        unsent = self._tracker.close(
            status="KILLED" if interrupted else "FINISHED",
            metrics={f"trials/{name}": float(n) for name, n in counts.items() if name != "running"},
            summaries=summaries,
            artifacts=files,
            timeout_s=0.3 if interrupted else self._settings.flush_s,
        )
        if unsent and not interrupted:
            self._console.print(f"[yellow]{unsent}[/yellow]", soft_wrap=True)
        unstored = self.folder.flush(patience_s=5.0 if interrupted else self._settings.store_patience_s)
        return Outcome(self.folder, counts, ran, interrupted, unsent, unstored)

    def _source(self) -> TrialSource:
        if self._settings.only_failed:  # a sampler learns of them from the records when it is next asked for new trials
            again = [self.folder.record(trial_id).trial() for trial_id in self.failed]
            return ListSource([trial for trial in again if trial is not None], len(self._finished()) + len(again))
        if self._study.sweep is not None:
            from tadtune.search.sweep import SweepSource

            limit = self._study.sweep.budget.time_s
            return SweepSource(self._study, self.folder, None if limit is None else time.monotonic() + limit)
        distinct = {planned.trial.id: planned.trial for planned in self._planned}
        todo = [trial for trial_id, trial in distinct.items() if not self.folder.adopt(trial_id)]
        return ListSource(todo, len(distinct))

    def _finished(self) -> dict[str, Result]:
        """Results that count for this study, by trial id."""
        wanted = {planned.trial.id for planned in self._planned} if self._planned else None
        results = {i: record.result() for i, record in self.folder.records().items() if wanted is None or i in wanted}
        return {i: result for i, result in results.items() if result is not None}

    def _short_name(self, trial_id: str) -> str:
        trial = self.folder.record(trial_id).trial()
        return trial_id if trial is None else self._name_of(trial_id, trial).name

    def _tune_config(self, trial: Trial) -> dict[str, Any]:
        row = self._rows.get(trial.id, "")
        job = Job(
            trial_id=trial.id,
            trial=trial.plain(),
            record=str(self.folder.record(trial.id).folder),
            data_root=str(self._settings.data_root),
            metric=self._study.metric.name,
            mode=self._study.metric.mode,
            report_every=self._study.report_every,
            data_digest=self._data[row].digest,
            data_remarks=self._data[row].remarks,
            cpus=self._study.resources.cpus,
            gpus=self._study.resources.gpus,
            workers=self._study.resources.workers,
            attempt=len(self.folder.record(trial.id).attempts()) + 1,
            timeout_s=self._study.resources.timeout_s,
            store=self.folder.address(trial.id),
        )
        return {
            "trial_id": trial.id,
            "job": job.plain(),
            "train_storage": str(self.folder.path / "train"),
        }


def _fit(
    study: Study, folder: StudyFolder, searcher: Any, scheduler: Any, listener: Any, stopper: Any, concurrency: int
) -> None:
    """Let Ray Tune drive until the source has no more trials."""
    from ray import tune

    from tadtune.run.in_process import InProcessTrial
    from tadtune.run.train_workers import train_driver
    from tadtune.run.worker_groups import WorkerGroups

    resources = study.resources
    if resources.workers > 0:
        trainable: Any = tune.with_resources(train_driver, DRIVER_RESOURCES)
    else:
        trainable = tune.with_resources(InProcessTrial, {"cpu": resources.cpus, "gpu": resources.gpus})
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,
            max_concurrent_trials=concurrency,
            # on a GPU torch's memory would leak from one trial to the next
            reuse_actors=resources.workers == 0 and resources.gpus == 0,
            trial_dirname_creator=_dirname,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S"),
            storage_path=str(folder.path / "tune"),
            callbacks=[listener, WorkerGroups()],
            stop=stopper,
            failure_config=tune.FailureConfig(max_failures=0),  # the searcher starts lost trials again
            verbose=0,
        ),
    )
    tuner.fit()


def _dirname(trial: Any) -> str:
    return str(trial.config["trial_id"])
