"""`tadtune plan`: what a study would do, without starting Ray."""

from __future__ import annotations

import os

from rich.console import Console
from rich.table import Table

from tadtune.plan.ablation import plan_ablation, rows_on_baseline_data
from tadtune.plan.definition import study_definition
from tadtune.plan.power import detectable_difference, estimate_cost, seed_noise
from tadtune.plan.trial import Trial, make_trial
from tadtune.spec.study import Study
from tadtune.track.record import Result
from tadtune.track.storage import study_folder


def print_plan(study: Study, storage: str, console: Console) -> None:
    """Trials, their identity, what is done, cost, and the smallest difference the seeds can resolve.

    Raises:
        tadtune.spec.errors.StudyError: the study contradicts its own earlier launches.
    """
    folder = study_folder(storage, study.slug, console.print)
    folder.update()
    folder.check_definition(study_definition(study))
    results = {i: record.result() for i, record in folder.records().items()}
    if study.sweep is not None:
        _print_sweep(study, results, console)
        total = study.sweep.budget.trials
        left = max(0, total - sum(r is not None and r.status != "failed" for r in results.values()))
    else:
        planned = plan_ablation(study)
        _print_ablation(study, results, console)
        distinct = {item.trial.id for item in planned}
        left = sum(not _done(results.get(i)) for i in distinct)
    seconds = [r.seconds for r in results.values() if r is not None and r.status == "complete"]
    concurrency = study.resources.max_concurrent or _local_concurrency(study)
    cost = estimate_cost(left, seconds, concurrency)
    if cost.process_seconds is None:
        console.print(f"{left} trials to run; the cost is known once a first trial has finished.")
    else:
        wall, work = cost.wall_s or 0.0, cost.process_seconds
        console.print(f"{left} trials to run: about {work:.0f} s of trials, {wall:.0f} s at {concurrency} at a time.")


def _done(result: Result | None) -> bool:
    return result is not None and result.status != "failed"


def _state(result: Result | None) -> str:
    return "to run" if result is None else result.status


def _local_concurrency(study: Study) -> int:
    need = study.resources.cpus * study.resources.world_size
    return max(1, int((os.cpu_count() or 1) // need))


def _print_sweep(study: Study, results: dict[str, Result | None], console: Console) -> None:
    assert study.sweep is not None, "a sweep"
    table = Table(title=f"{study.name}: sweep", title_justify="left")
    for heading in ("field", "space", "acts at"):
        table.add_column(heading, overflow="fold")
    for parameter in (*study.sweep.space, *study.inference.space):
        shown = {k: v for k, v in parameter.plain().items() if v}
        table.add_row(parameter.path, str(shown), parameter.acts)
    console.print(table)
    first: Trial = make_trial(study, study.parts, study.values, study.sweep.seed)
    states = [_state(result) for result in results.values()]
    counts = ", ".join(f"{states.count(s)} {s}" for s in ("complete", "pruned", "failed", "to run") if s in states)
    console.print(f"first trial (the paper's setting): {first.id}")
    console.print(f"budget: {study.sweep.budget.trials} trials; so far: {counts or 'none'}")


def _print_ablation(study: Study, results: dict[str, Result | None], console: Console) -> None:
    assert study.ablation is not None, "an ablation"
    table = Table(title=f"{study.name}: ablation, {study.metric.name}", title_justify="left")
    for heading in ("row", "seed", "trial", "state"):
        table.add_column(heading, overflow="fold")
    values: dict[str, list[float]] = {}
    for item in plan_ablation(study):
        result = results.get(item.trial.id)
        table.add_row(item.row, str(item.trial.seed), item.trial.id, _state(result))
        if result is not None and result.status == "complete":
            values.setdefault(item.row, []).append(result.metrics[f"test/{study.metric.name}"])
    console.print(table)
    same_data = rows_on_baseline_data(study.ablation)
    noise = seed_noise({row: found for row, found in values.items() if row in same_data})
    seeds = len(study.ablation.seeds)
    smallest = detectable_difference(noise.sd, seeds)
    console.print(
        f"{seeds} seeds per row resolve differences of {100 * smallest:.2f} points and more "
        f"(80 % power, 5 % level; seeds differ by {100 * noise.sd:.2f}, from {noise.source})."
    )
