"""The one code path that runs a trial, whoever calls it: in process, as a Ray Train worker, or a test."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tadtune.plan.trial import Trial, inference_space, trial_from_plain
from tadtune.run.job import Job
from tadtune.run.time_limit import time_limit
from tadtune.run.trainable import Trainable
from tadtune.search.inner import tune_inference
from tadtune.spec import components
from tadtune.spec.combination import Configs, build_configs
from tadtune.track.faults import RETRIES, Attempt, kind_of_exception, last_line
from tadtune.track.object_store.record import open_record
from tadtune.track.provenance import provenance
from tadtune.track.record import Report, Result, TrialRecord


@dataclass(frozen=True)
class Place:
    """Where in a group of processes this one is.

    Attributes:
        rank: this process.
        world_size: number of processes.
        device: torch's name of the device.
        num_threads: CPU threads for this process.
    """

    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    num_threads: int = 1


def run_trial(job: Job, place: Place) -> Iterator[dict[str, Any]]:
    """Train, report, search inference parameters, score ``test``; continue where a checkpoint is.

    Yields:
        One dictionary a report: ``epoch``, ``num_epochs``, ``select/<metric>``...; the last one has ``done`` True.
        A failure of the trial's own code is recorded and ends the iteration; it is not raised with one process.

    Raises:
        ConnectionError: another process of the group is gone; why is for that one, or for the driver, to say.
    """
    with open_record(job.record_folder, job.store) as record:
        if record.result() is not None:
            yield _final(record)
            return
        try:
            left_s = None if job.timeout_s is None or place.rank > 0 else job.timeout_s - _seconds_so_far(record)
            if left_s is not None:
                record.announce_limit(job.attempt, left_s)
            with time_limit(left_s, record.timeout):
                yield from _run(job, place, record)
        except Exception as error:
            if place.world_size == 1 or not isinstance(error, ConnectionError):
                _record_failure(job, record, error)
            if place.world_size > 1:
                raise  # the other processes of the group must not wait for this one
            yield _final(record)


def _record_failure(job: Job, record: TrialRecord, error: Exception) -> None:
    """Keep why this attempt ended; what will not be tried again is the trial's result at once."""
    kind, text = kind_of_exception(error), "".join(traceback.format_exception(error))
    attempt = Attempt(job.attempt, kind, last_line(text), time.time(), socket.gethostname(), text)
    if record.note(attempt) and RETRIES[kind] == 0:
        record.fail(attempt)
    record.publish(final=True)


def _run(job: Job, place: Place, record: TrialRecord) -> Iterator[dict[str, Any]]:
    trial = trial_from_plain(job.trial)
    configs = trial.configs()
    cls = components.load("trainable", trial.parts.trainable)
    if place.rank == 0:
        record.start(trial, provenance(cls.__module__, job.data_digest, job.data_remarks))
    began = time.monotonic() - _seconds_so_far(record)
    trainable: Trainable = cls(
        detector=configs.detector,
        tasks=configs.tasks,
        dataset=configs.dataset,
        protocol=configs.protocol,
        seed=trial.seed,
        data_root=Path(job.data_root),
        device=place.device,
        rank=place.rank,
        world_size=place.world_size,
        num_threads=place.num_threads,
        precision=trial.precision,
    )
    if record.checkpoint.is_file():
        trainable.load(record.checkpoint)
    while trainable.epoch < trainable.num_epochs:
        metrics = _train(trainable, job.report_every)
        metrics |= _scored("select", trainable, configs)
        if place.rank == 0:
            record.append(Report(trainable.epoch, time.time(), metrics, time.monotonic() - began))
            trainable.save(record.checkpoint)
            record.publish()
        yield {**metrics, "epoch": trainable.epoch, "num_epochs": trainable.num_epochs, "done": False}
    result = _finish(job, trial, configs, trainable, record, began)
    if place.rank == 0:
        record.finish(result)
        record.publish(final=True)
    yield {**result.metrics, "epoch": trainable.epoch, "num_epochs": trainable.num_epochs, "done": True}


def _seconds_so_far(record: TrialRecord) -> float:
    reports = record.reports()
    return reports[-1].seconds if reports else 0.0


def _train(trainable: Trainable, epochs: int) -> dict[str, float]:
    """Mean losses over up to ``epochs`` epochs, under ``train/``."""
    sums: dict[str, list[float]] = {}
    for _ in range(min(epochs, trainable.num_epochs - trainable.epoch)):
        for name, value in trainable.train_epoch().items():
            sums.setdefault(name, []).append(value)
    return {f"train/{name}": sum(values) / len(values) for name, values in sums.items()}


def _prefixed(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": float(value) for name, value in metrics.items()}


def _finish(
    job: Job, trial: Trial, configs: Configs, trainable: Trainable, record: TrialRecord, began: float
) -> Result:
    metrics = _scored("select", trainable, configs)
    objective = metrics[f"select/{job.metric}"]
    variants = {"": configs}
    inference: Mapping[str, Any] = {}
    space = inference_space(trial.inference)
    if space:

        def score(values: Mapping[str, Any]) -> float:
            changed = build_configs(trial.parts, {**trial.config, **values})
            return float(trainable.score_select(changed.detector, changed.protocol, changed.tasks)[job.metric])

        tuned = tune_inference(
            score, space, trial.config, trials=trial.inference["trials"], seed=trial.seed, mode=job.mode
        )
        objective, inference = tuned.objective, tuned.values
        variants["_tuned"] = build_configs(trial.parts, {**trial.config, **inference})
        metrics |= _scored("select_tuned", trainable, variants["_tuned"])
    detectors, tasks = ({suffix: getattr(c, part) for suffix, c in variants.items()} for part in ("detector", "tasks"))
    metrics |= trainable.finish(record.artifacts, detectors, tasks)
    return Result(
        "complete",
        metrics=metrics,
        objective=objective,
        epochs=trainable.epoch,
        seconds=time.monotonic() - began,
        finished_at=time.time(),
        inference={path: _plain(value) for path, value in inference.items()},
    )


def _scored(split: str, trainable: Trainable, configs: Configs) -> dict[str, float]:
    return _prefixed(split, trainable.score_select(configs.detector, configs.protocol, configs.tasks))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _final(record: TrialRecord) -> dict[str, Any]:
    result = record.result()
    metrics = dict(result.metrics) if result is not None else {}
    epochs = result.epochs if result is not None else 0
    return {**metrics, "epoch": epochs, "num_epochs": epochs, "done": True}
