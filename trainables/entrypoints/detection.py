"""A trial of temporal action detection: one detector, its auxiliary tasks, one data set, one protocol.

The engine constructs :class:`DetectionTrial` with configuration objects and drives it epoch by epoch; the same
arguments give the same numbers, also when training stopped at a checkpoint in between, because every random draw comes
from (seed, epoch) and never from what ran before.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.config import Phase, Sampling
from trainables.contracts import Answer, TaskBase, as_module
from trainables.detections import FrameScores
from trainables.entrypoints.artifacts import write_split_artifacts
from trainables.entrypoints.checkpoint import load_checkpoint, save_checkpoint
from trainables.entrypoints.draws import JointDraws
from trainables.entrypoints.optimizer import make_optimizer, set_learning_rate
from trainables.entrypoints.precision import Precision, reduce_precision
from trainables.entrypoints.raw_outputs import collect_raw, write_raw
from trainables.entrypoints.workers import (
    add_gradients,
    gather_list,
    joint_losses,
    joint_size,
    same_buffers,
    same_weights,
    sharing,
)
from trainables.evaluation.detection.detection_map import DetectionMap
from trainables.evaluation.frames.scores import truth_for
from trainables.evaluation.precision.matches import join_thresholds
from trainables.records import Batch, Outputs, RawOutput


class DetectionTrial:
    """Trains and scores one combination.

    Args:
        detector: the detector's configuration.
        tasks: auxiliary task name -> its configuration.
        dataset: the data set's configuration.
        protocol: the evaluation protocol.
        seed: of weights, order, dropout and every draw.
        data_root: folder of data sets.
        device: torch's name of the device.
        rank: this process within the group that trains the trial.
        world_size: number of processes of the group.
        num_threads: CPU threads of this process.
        precision: of what layers multiply in training.
    """

    def __init__(
        self,
        *,
        detector: Any,
        tasks: Mapping[str, Any],
        dataset: Any,
        protocol: Any,
        seed: int,
        data_root: Path,
        device: str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        num_threads: int = 1,
        precision: Precision = "float32",
    ) -> None:
        torch.set_num_threads(num_threads)
        self._config = detector
        self._task_configs = tasks
        self._protocol = protocol
        self._seed = seed
        self._device = torch.device(device)
        self._rank, self._world_size = rank, world_size
        self._data = dataset.open(data_root)
        torch.manual_seed(seed)
        self._model = detector.build(feat_dim=self._data.feat_dim, num_classes=len(self._data.class_names))
        host = as_module(self._model).to(self._device)
        self._tasks: dict[str, TaskBase] = _build_tasks(tasks, detector, self._model, self._data, self._device)
        self._modules = nn.ModuleDict({"detector": host, **{f"task_{n}": t for n, t in self._tasks.items()}})
        same_weights(self._modules, world_size)
        if precision == "bfloat16":
            reduce_precision(self._modules)
        self._task_weights = {name: w for config in tasks.values() for name, w in config.loss_weights().items()}
        phases: tuple[Phase, ...] = tuple(p for p in detector.phases() if p.epochs > 0)
        self._phases = _without_replaced(phases, self._tasks)
        self._optimizer: torch.optim.Optimizer | None = None
        self._optimizer_phase = ""
        self._raw: dict[str, list[RawOutput]] = {}
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """Epochs trained so far."""
        return self._epoch

    @property
    def num_epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self._phases)

    @property
    def num_parameters(self) -> int:
        """Number of weights, auxiliary tasks included."""
        return sum(p.numel() for p in self._modules.parameters())

    def train_epoch(self) -> Mapping[str, float]:
        """Train one epoch; mean losses by name, weighted sum as ``loss``.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        phase, within = _phase_at(self._phases, self._epoch)
        self._begin(phase, within)
        optimizer = self._enter(phase)
        set_learning_rate(optimizer, phase, within)
        torch.manual_seed(_mix(self._seed, self._epoch, self._rank))
        generator = torch.Generator().manual_seed(_mix(self._seed, self._epoch, self._rank) + 1)
        common = torch.Generator(self._device).manual_seed(_mix(self._seed, self._epoch, 0))
        draws = JointDraws(common, self._rank, self._world_size)
        batches = self._batches(phase.split, self._epoch, phase.sampling)
        sums: dict[str, float] = {}
        seen = 0
        for step in itertools.count(1):
            batch = next(batches, None)
            own = 0 if batch is None else len(batch.video_ids)
            joint = joint_size(own, self._world_size)
            if joint == 0:
                break
            if batch is not None:
                for task in self._tasks.values():
                    batch = task.transform(batch, generator)
                batch = batch.to(self._device)
            with draws.of(own, joint):
                losses = self._step(batch, phase, optimizer, joint=joint, step=step)
            seen += joint
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value * joint
        same_buffers(self._modules, self._world_size)
        self._epoch += 1
        self._raw.clear()
        if not seen:
            raise ValueError("the training split has no videos; change the split fractions of the data set")
        return {name: total / seen for name, total in sums.items()}

    def _begin(self, phase: Phase, within: int) -> None:
        """Let detector and tasks look at data first; every process does the same, whatever its share of the inputs."""
        hook = getattr(self._model, "begin_phase", None)
        torch.manual_seed(_mix(self._seed, self._epoch, 0))
        if hook is not None and within == 0:
            hook(phase.name, self._inputs)
        self._modules.eval()
        for task in self._tasks.values():
            task.begin_epoch(self._model, self._inputs)

    def _inputs(self, split: str, sampling: Sampling) -> Iterator[Batch]:
        """All inputs of a split in order, with the labels the detector may read, on every process."""
        whole = self._data.batches(
            split,
            sampling=sampling,
            batch_size=self._config.batch_size,
            supervision=self._config.supervision,
            seed=self._seed,
            epoch=None,
        )
        return (batch.to(self._device) for batch in whole)

    def _enter(self, phase: Phase) -> torch.optim.Optimizer:
        """The optimiser of the phase; frozen parts get no gradient and stay in eval mode."""
        if self._optimizer is None or self._optimizer_phase != phase.name:
            self._optimizer = make_optimizer(self._modules, phase)
            self._optimizer_phase = phase.name
        self._modules.train()
        for name, module in self._modules["detector"].named_modules():
            if any(f"{name}.".startswith(f"{prefix.rstrip('.')}.") for prefix in phase.frozen):
                module.eval()
        return self._optimizer

    def _step(
        self, batch: Batch | None, phase: Phase, optimizer: torch.optim.Optimizer, *, joint: int, step: int
    ) -> dict[str, float]:
        """One step of all processes together; ``batch`` is this one's share, None where it has no inputs left.

        Args:
            batch: see above.
            phase: of the recipe.
            optimizer: of the phase.
            joint: inputs of all processes.
            step: number within the epoch.

        Returns:
            The losses of the joint batch.
        """
        weights = {**phase.loss_weights, **self._task_weights}
        with sharing(0 if batch is None else len(batch.video_ids), joint, self._rank, self._world_size):
            terms, counts = ({}, {}) if batch is None else self._terms(batch, phase)
        own = {name: float(term.detach()) for name, term in terms.items()}
        values, shares = joint_losses(own, counts, sorted(weights), self._world_size)
        if terms:
            total = weighted_sum(terms, {name: weight * shares[name] for name, weight in weights.items()})
        values["loss"] = sum(weight * values[name] for name, weight in weights.items())
        bad = [name for name, value in values.items() if value != value or value in (float("inf"), float("-inf"))]
        if bad:
            shown = ", ".join(f"{name} = {values[name]}" for name in bad)
            raise FloatingPointError(f"{shown} in phase '{phase.name}', epoch {self._epoch + 1}, step {step}")
        optimizer.zero_grad(set_to_none=True)
        if terms and total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call, unused-ignore]
        add_gradients(self._modules, self._world_size)
        if phase.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(self._modules.parameters(), phase.grad_clip_norm)
        optimizer.step()
        return values

    def _terms(self, batch: Batch, phase: Phase) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Unweighted losses, and how many things each is the mean of: the inputs, unless its module says otherwise."""
        outputs: Outputs = self._model(batch)
        terms = dict(self._model.losses(outputs, batch, tuple(phase.loss_weights)))
        for task in self._tasks.values():
            terms |= task.losses(outputs, batch)
        counts = dict.fromkeys(terms, float(len(batch.video_ids)))
        for part in (self._model, *self._tasks.values()):
            named = part.loss_counts(outputs, batch) if hasattr(part, "loss_counts") else {}
            counts |= {name: float(count) for name, count in named.items() if name in terms}
        return terms, counts

    def _batches(self, split: str, epoch: int | None, sampling: Sampling | None = None) -> Iterator[Batch]:
        batches: Iterator[Batch] = self._data.batches(
            split,
            sampling=sampling or self._config.sampling(),
            batch_size=self._config.batch_size,
            supervision=self._config.supervision if epoch is not None else "none",
            seed=self._seed,
            epoch=epoch,
            rank=self._rank,
            world_size=self._world_size,
        )
        return batches

    def raw_outputs(self, split: str) -> list[RawOutput]:
        """Stored outputs of a split with the current weights, computed once; the whole split on every process."""
        if split not in self._raw:
            self._modules.eval()
            durations = self._data.durations_s()
            own: list[RawOutput] = []
            with torch.no_grad():
                for batch in self._batches(split, None):
                    moved = batch.to(self._device)
                    outputs: Outputs = self._model(moved)
                    for task in self._tasks.values():
                        outputs = task.refine(outputs, moved)
                    extra = {k: v for task in self._tasks.values() for k, v in task.raw(outputs).items()}
                    own.extend(
                        collect_raw(dataclasses.replace(outputs, raw={**outputs.raw, **extra}), batch, durations)
                    )
            everything = gather_list(own, self._world_size)
            self._raw[split] = sorted(everything, key=lambda raw: (raw.video_id, raw.start_s))
        return self._raw[split]

    def detections(self, split: str, detector: Any, tasks: Mapping[str, Any] | None = None) -> Answer:
        """Detections or frame scores of a split with the inference parameters of these configurations.

        Args:
            split: train, select or test.
            detector: its configuration.
            tasks: name -> configuration; None = their own.
        """
        raw = self.raw_outputs(split)
        found: Answer = self._model.detect(raw, detector)
        if isinstance(found, FrameScores):
            return found
        configs = self._task_configs if tasks is None else tasks
        for name, task in self._tasks.items():
            found = task.rescore(found, raw, configs[name])
        return found

    def score_select(self, detector: Any, protocol: Any, tasks: Mapping[str, Any] | None = None) -> Mapping[str, float]:
        """Metrics on ``select``."""
        _, matches = self._matched("select", detector, protocol, tasks)
        scores: Mapping[str, float] = protocol.score(matches)
        return scores

    def _matched(self, split: str, detector: Any, protocol: Any, tasks: Mapping[str, Any] | None) -> tuple[Answer, Any]:
        """A split's answers, and the protocol's matches; those of each threshold alone where the detector asks."""
        found, truth = self.detections(split, detector, tasks), self._data.ground_truth(split)
        apart = _by_threshold(detector, protocol)
        if not apart:
            return found, protocol.match(found, truth_for(protocol, truth, self._data.durations_s()))
        return found, join_thresholds([p.match(self.detections(split, own, tasks), truth) for own, p in apart])

    def finish(
        self, folder: Path, variants: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Mapping[str, float]:
        """Score ``test`` and write detections, matches and raw outputs.

        Args:
            folder: for artifacts.
            variants: suffix of the split's name -> detector configuration.
            tasks: suffix -> task name -> configuration; where there is none, their own.
        """
        metrics: dict[str, float] = {}
        for suffix, detector in variants.items():
            found, matches = self._matched("test", detector, self._protocol, (tasks or {}).get(suffix))
            truth = self._data.ground_truth("test")
            metrics |= {f"test{suffix}/{name}": value for name, value in self._protocol.score(matches).items()}
            if self._rank == 0:
                write_split_artifacts(
                    folder, f"test{suffix}", found, truth, self._data.durations_s(), self._protocol, matches
                )
        select = self.raw_outputs("select")
        if self._rank == 0:
            write_raw(folder / "raw_select.parquet", select)
        return metrics

    def save(self, path: Path) -> None:
        """Replace the checkpoint in one step; it loads with ``weights_only=True``."""
        if self._rank == 0:
            optimizer = None if self._optimizer is None else self._optimizer.state_dict()
            save_checkpoint(path, self._epoch, self._modules.state_dict(), self._optimizer_phase, optimizer)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        self._epoch, weights, phase_name, optimizer = load_checkpoint(path, self._device)
        self._modules.load_state_dict(weights)
        self._raw.clear()
        phases = {phase.name: phase for phase in self._phases}
        if optimizer is not None and phase_name in phases:
            self._enter(phases[phase_name]).load_state_dict(optimizer)


def _by_threshold(detector: Any, protocol: Any) -> list[tuple[Any, Any]]:
    """For every tIoU the configuration of its detections, and the protocol at it alone; [] where all share theirs."""
    at_tiou = getattr(detector, "at_tiou", None)
    if at_tiou is None or not isinstance(protocol, DetectionMap):
        return []
    found = [(at_tiou(t), dataclasses.replace(protocol, tiou_thresholds=(t,))) for t in protocol.tiou_thresholds]
    return [(config, one) for config, one in found if config is not None]


def _build_tasks(
    configs: Mapping[str, Any], detector: Any, model: Any, data: Any, device: torch.device
) -> dict[str, TaskBase]:
    if not configs:
        return {}
    feat_channels = _feat_channels(model, detector, data, device)
    num_classes = len(data.class_names)
    tasks: dict[str, TaskBase] = {
        name: config.build(host=model, feat_channels=feat_channels, num_classes=num_classes).to(device)
        for name, config in sorted(configs.items())
    }
    for name, task in tasks.items():
        task.meet({other: tasks[other] for other in getattr(configs[name], "beside", ())})
    return tasks


def _without_replaced(phases: tuple[Phase, ...], tasks: Mapping[str, TaskBase]) -> tuple[Phase, ...]:
    """The recipe with weight 0 for every loss that a task takes the place of.

    Raises:
        ValueError: no phase has a loss of that name.
    """
    known = {loss for phase in phases for loss in phase.loss_weights}
    for name, task in tasks.items():
        for loss in task.replaces():
            if loss not in known:
                raise ValueError(f"task '{name}' replaces '{loss}', which is no loss of the detector: {sorted(known)}")
    gone = {loss for task in tasks.values() for loss in task.replaces()}
    return tuple(
        dataclasses.replace(p, loss_weights={k: 0.0 if k in gone else w for k, w in p.loss_weights.items()})
        for p in phases
    )


def _feat_channels(model: Any, detector: Any, data: Any, device: torch.device) -> int:
    """C of the host's ``feats``, from one forward pass: hosts need not declare it."""
    batch: Batch = next(
        data.batches(
            "train",
            sampling=detector.sampling(),
            batch_size=1,
            supervision=detector.supervision,
            seed=0,
            epoch=None,
        )
    )
    was_training = as_module(model).training
    as_module(model).eval()
    with torch.no_grad():
        outputs: Outputs = model(batch.to(device))
    as_module(model).train(was_training)
    if outputs.feats is None:
        return 0
    return int(outputs.feats.shape[1])


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The one place where weights meet losses.

    Raises:
        ValueError: a loss has no weight or a weight has no loss.
    """
    if terms.keys() != weights.keys():
        unmatched = sorted(terms.keys() ^ weights.keys())
        raise ValueError(f"losses and weights do not match at: {', '.join(unmatched)}")
    if not terms:
        raise ValueError("no loss at all: the phase names none and no task is attached")
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def _phase_at(phases: tuple[Phase, ...], epoch: int) -> tuple[Phase, int]:
    """The phase of an epoch, and the epoch's number within it."""
    for phase in phases:
        if epoch < phase.epochs:
            return phase, epoch
        epoch -= phase.epochs
    raise IndexError("all phases are over")


def _mix(*numbers: int) -> int:
    """One 62-bit seed from several numbers, the same on every machine."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = ((state ^ (number + 1)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 29
    return state >> 2
