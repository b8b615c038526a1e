"""A study: one YAML file that says what varies, what is fixed, what is measured, which table it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tadtune.spec.space import Parameter

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc")
PRUNERS = ("none", "median", "asha", "hyperband")
PRECISIONS = ("float32", "bfloat16")
PLANS = ("full_grid", "leave_one_out", "add_one_in", "group_off", "pairwise_off")


@dataclass(frozen=True)
class Parts:
    """Names of what a trial is made of; each is found through an entry point.

    Attributes:
        trainable: what runs a trial.
        detector: the detector.
        tasks: auxiliary tasks, sorted.
        dataset: the data set.
        protocol: the evaluation protocol.
    """

    trainable: str
    detector: str
    tasks: tuple[str, ...]
    dataset: str
    protocol: str


@dataclass(frozen=True)
class Metric:
    """What is optimised: a metric on ``select``.

    Attributes:
        name: without the split, for instance ``avg_map``.
        mode: "max" or "min".
    """

    name: str
    mode: Literal["max", "min"]

    @property
    def sign(self) -> int:
        """+1 where larger is better."""
        return 1 if self.mode == "max" else -1


@dataclass(frozen=True)
class Resources:
    """What one trial takes.

    Attributes:
        workers: 0 = in process, N >= 1 = that many Ray Train workers.
        cpus: per process.
        gpus: per process.
        max_concurrent: trials at a time; None = as many as fit.
        timeout_s: seconds that a trial may take, all attempts together; None = no limit.
        precision: of what layers multiply in training, one of ``PRECISIONS``; belongs to a trial's identity.
    """

    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0
    max_concurrent: int | None = None
    timeout_s: float | None = None
    precision: str = PRECISIONS[0]

    @property
    def world_size(self) -> int:
        """Number of processes that train one trial."""
        return max(1, self.workers)


@dataclass(frozen=True)
class Budget:
    """When a sweep ends: the first limit reached.

    Attributes:
        trials: distinct trials in all launches together.
        time_s: seconds of one launch, None = no limit.
        checkpoints: finished trials that keep their checkpoint, the best ones and the last; None = all of them.
    """

    trials: int
    time_s: float | None = None
    checkpoints: int | None = None


@dataclass(frozen=True)
class InferenceSearch:
    """The inner study over parameters that need no new training.

    Attributes:
        space: parameters that act at inference.
        trials: evaluations on the stored outputs of ``select``.
    """

    space: tuple[Parameter, ...] = ()
    trials: int = 0


@dataclass(frozen=True)
class Component:
    """A sampler or pruner by name, with options of its own."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """A space that Optuna samples.

    Attributes:
        space: parameters that act at training.
        budget: when it ends.
        sampler: how values are chosen.
        pruner: how weak trials are stopped early.
        seed: of the sampler and of every trial.
    """

    space: tuple[Parameter, ...]
    budget: Budget
    sampler: Component
    pruner: Component
    seed: int


@dataclass(frozen=True)
class Row:
    """One configuration of an ablation.

    Attributes:
        key: its name in the study.
        parts: what it is made of.
        values: full field path -> value, the study's ``set`` included.
        paper_row: key of the paper's row it answers, or None.
    """

    key: str
    parts: Parts
    values: Mapping[str, Any]
    paper_row: str | None = None


@dataclass(frozen=True)
class Ablation:
    """Named rows, every one run with the same seeds.

    Attributes:
        rows: in the order of the file.
        baseline: key of the row others are compared with.
        seeds: the same for every row.
    """

    rows: tuple[Row, ...]
    baseline: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """A validated study file.

    Attributes:
        name: for instance ``kt_mgfn/first_sweep``; also the MLflow experiment.
        claim: what the study is meant to show, in words.
        paper: key of the paper it answers, or None.
        table: key of the paper's table it answers, or None.
        parts: what trials are made of.
        values: fixed settings, full field path -> value; those of the preset included.
        metric: what is optimised or compared on ``select``.
        report_every: epochs between two reports of a trial.
        resources: what a trial takes.
        inference: the inner study.
        sweep: given for a sweep.
        ablation: given for an ablation.
        preset: values of the detector's preset that the study names, full field path -> value.
    """

    name: str
    claim: str
    paper: str | None
    table: str | None
    parts: Parts
    values: Mapping[str, Any]
    metric: Metric
    report_every: int
    resources: Resources
    inference: InferenceSearch
    sweep: Sweep | None = None
    ablation: Ablation | None = None
    preset: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """ "sweep" or "ablation"."""
        return "sweep" if self.sweep is not None else "ablation"

    @property
    def slug(self) -> str:
        """The name as one folder name."""
        return self.name.replace("/", "__")
