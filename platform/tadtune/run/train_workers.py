"""A trial on one or more Ray Train workers: Tune trial -> ``TorchTrainer`` (Train V2) -> the same loop."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tadtune.run.job import Job
from tadtune.run.loop import Place, run_trial
from tadtune.track.object_store.record import open_record
from tadtune.track.record import attempt_of_death


def train_worker(config: dict[str, Any]) -> None:
    """What every worker of the group does."""
    import ray.train

    from tadtune.run.worker_groups import own_group

    job = Job(**config["job"])
    group = own_group()
    context = ray.train.get_context()
    place = Place(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        device="cuda" if job.gpus else "cpu",
        num_threads=max(1, int(job.cpus)),
    )
    for metrics in run_trial(job, place):
        # `done` would make Tune stop the driver before its worker group is gone, and leave the group's resources taken
        ray.train.report({name: value for name, value in metrics.items() if name != "done"} | group)


def train_driver(config: dict[str, Any]) -> None:
    """The Tune trial: starts the worker group and forwards its reports."""
    job = Job(**config["job"])
    with train_storage(job, config["train_storage"]) as storage:
        _fit(job, config, storage)


@contextmanager
def train_storage(job: Job, folder: str) -> Iterator[str]:
    """A folder for Ray Train's own state, which nobody reads again: the study's, or one of this machine."""
    if not job.store:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tadtune-train-") as scratch:
        yield scratch


def _fit(job: Job, config: dict[str, Any], storage: str) -> None:
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    trainer = TorchTrainer(
        train_worker,
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if job.gpus else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=job.workers,
            use_gpu=job.gpus > 0,
            resources_per_worker={"CPU": job.cpus, **({"GPU": job.gpus} if job.gpus else {})},
        ),
        run_config=ray.train.RunConfig(
            name=job.trial_id,
            storage_path=storage,
            callbacks=[TuneReportCallback()],
            # what is tried again, and how often, is decided in one place, by the driver of the study
            failure_config=ray.train.FailureConfig(max_failures=0, max_preemption_failures=0),
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        with open_record(job.record_folder, job.store) as record:
            if record.result() is not None:
                return
            record.note(attempt_of_death(record, job.attempt, _describe(error)))
            record.publish(final=True)
        raise


def _describe(error: Exception) -> str:
    """What Ray says of every process of a group that failed, a lost machine above what followed from it."""
    failures = getattr(error, "worker_failures", {})
    each = [f"worker {rank}: {type(one).__name__}: {one}" for rank, one in sorted(failures.items())]
    preempted = [f"worker {rank}: preempted" for rank, one in failures.items() if getattr(one, "preempted", False)]
    return "\n".join([f"{type(error).__name__}: {error}", *each, *preempted])
