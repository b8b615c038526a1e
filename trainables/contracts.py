"""What plugs together: detectors, auxiliary tasks, data sets and protocols.

Each is found through an entry point group (``tadtune.detectors``, ``tadtune.tasks``, ``tadtune.datasets``,
``tadtune.protocols``) that names its ``Config`` class: a frozen dataclass that loads without torch and builds the
thing itself. A task knows its host only through the views of :class:`trainables.records.Outputs` it requires and the
operations a host declares for it (a region-based host's pooling, for instance).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from trainables.config import Phase, Sampling
from trainables.detections import Detections, FrameScores, GroundTruth
from trainables.records import Batch, Outputs, PooledRegions, RawOutput, Supervision

#: A host as a task sees it.
View = Callable[[Batch], Outputs]

#: What a detector's ``detect`` returns; its ``Config.answers`` says which of them.
Answer = Detections | FrameScores

#: (split, sampling) -> all inputs of a split in order, with the labels the detector may read. Beside train, the split
#: "trimmed" is there where the data set has trimmed clips.
Inputs = Callable[[str, Sampling], Iterable[Batch]]


class DetectorConfig(Protocol):
    """The ``Config`` dataclass of a detector (frozen, imports no torch at module level).

    It may also have

    * ``answers``, a class variable: what its ``detect`` returns, "detections" where it does not say, or "frame_scores";
      only protocols that take that score it;
    * ``check_data(dataset, data_root)``, which refuses with a ``ValueError`` data that lack what it needs, before any
      worker starts; so may a task's;
    * ``check_tasks(names)``, which refuses in the same way tasks that the detector so configured has nothing for; the
      message begins with the field;
    * ``at_tiou(threshold)``, the configuration whose detections are scored at that tIoU, None where all thresholds
      share theirs;
    * ``presets``, a class variable: name -> field path -> value, published settings that a study takes over by name.
    """

    key: ClassVar[str]
    paper: ClassVar[str]
    supervision: ClassVar[Supervision]
    inputs: ClassVar[str]
    views: ClassVar[tuple[str, ...]]

    @property
    def batch_size(self) -> int:
        """Inputs per step, of all workers together."""
        ...

    def build(self, *, feat_dim: int, num_classes: int) -> Detector:
        """Make the module; weights come from torch's global generator, which the caller has seeded."""
        ...

    def phases(self) -> tuple[Phase, ...]:
        """The training recipe."""
        ...

    def sampling(self) -> Sampling:
        """How videos become inputs."""
        ...


class Detector(Protocol):
    """An ``nn.Module`` with these three methods.

    It may also have ``begin_phase(name, inputs)``, called before the first epoch of every phase (not when training
    resumes within one): what it keeps then must be in its ``state_dict``; and ``loss_counts``, see
    :meth:`TaskBase.loss_counts`.
    """

    def __call__(self, batch: Batch) -> Outputs:
        """The forward pass."""
        ...

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """Unweighted scalar losses, exactly the names in ``active``."""
        ...

    def detect(self, raw: Sequence[RawOutput], config: Any) -> Answer:
        """Detections or frame scores of whole videos: all inputs (windows) of a video are in one call.

        Frame scores are logits, and their times the middles of what each stands for.

        Args:
            raw: stored outputs, any number of videos.
            config: the detector's ``Config``, possibly with other inference parameters than at training.
        """
        ...


class RoiHost(Detector, Protocol):
    """A detector that offers the view ``rois``, and what its tasks may do with regions of its own shared map.

    Source: Three Birds 3.1 and 3.2, whose ancestor wonheeML/mtl-ssl attaches its tasks at the same places.
    """

    #: temporal samples of the input that one cell of the shared map covers: 8 for C3D on frames, 1 on features.
    samples_per_cell: int
    #: D0 of ``pool``.
    pooled_channels: int
    #: D of ``RoiView.feats``.
    roi_channels: int
    #: columns of ``RoiView.logits``: K, or K + 1 with background first.
    num_logits: int
    #: whether regions are regressed for each class, or alike for all.
    offsets_per_class: bool
    #: name of the classification loss on ``RoiView.logits`` among ``losses``.
    classification_loss_name: str

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """See :meth:`TaskBase.loss_counts`."""
        ...

    def pool(self, outputs: Outputs, segments: Tensor) -> PooledRegions:
        """(M, 3) input index, start, end in temporal samples -> M regions, differentiable in the shared map."""
        ...

    def roi_trunk(self, pooled: PooledRegions) -> Tensor:
        """(M, D), from the trunk its own regions go through."""
        ...

    def new_trunk(self) -> nn.Module:
        """Another trunk, of the same shape, for the same argument, and with the weights the own one has now."""
        ...

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss of ``RoiView.logits`` against ``RoiView.labels``, for other logits of the same regions."""
        ...

    def roi_offsets(self, outputs: Outputs) -> Tensor:
        """(R, 2) start and end of each region after regression, for its label's class, coded as Three Birds Eq. (2).

        With gradient, in training only.
        """
        ...

    def with_logits(self, outputs: Outputs, logits: Tensor) -> Outputs:
        """The same outputs with other (R, ...) class logits in ``rois`` and in ``raw``, for ``detect`` to use."""
        ...


def as_module(detector: Detector) -> nn.Module:
    """The detector as the ``nn.Module`` it has to be."""
    if not isinstance(detector, nn.Module):
        raise TypeError(f"{type(detector).__name__} is not an nn.Module")
    return detector


class TaskConfig(Protocol):
    """The ``Config`` dataclass of an auxiliary task (frozen, imports no torch at module level).

    It may also have ``beside``, a class variable that names the tasks it does not work without, and ``detached``, one
    that names the required views through which its losses send no gradient.
    """

    key: ClassVar[str]
    paper: ClassVar[str]
    #: least supervision the task reads: a task that needs "segments" never runs beside a detector that may not.
    supervision: ClassVar[Supervision]
    #: views of ``Outputs`` the host must offer.
    requires: ClassVar[tuple[str, ...]]

    def loss_weights(self) -> Mapping[str, float]:
        """Loss name -> weight, in every phase of the host."""
        ...

    def build(self, *, host: Detector, feat_channels: int, num_classes: int) -> TaskBase:
        """Make the module.

        Args:
            host: the detector the task is attached to.
            feat_channels: C of the host's ``Outputs.feats``.
            num_classes: K.
        """
        ...


class TaskBase(torch.nn.Module):
    """Base of every task's module: ``losses`` must be given, the other hooks leave things as they are."""

    def meet(self, tasks: Mapping[str, TaskBase]) -> None:
        """Get to know the tasks of ``Config.beside``, by name, once all of them are built.

        A task keeps no other, nor the host, as a submodule: their weights would be counted twice.
        """

    def replaces(self) -> Collection[str]:
        """Losses of the host that this task takes the place of: they stay logged, but are not trained on."""
        return ()

    def begin_epoch(self, host: View, inputs: Inputs) -> None:
        """Look at data through the host, which is in eval mode, before an epoch is trained."""

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Unweighted scalar losses, exactly the names of ``Config.loss_weights``."""
        raise TypeError(f"{type(self).__name__} defines no losses")

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """Loss name -> how many things the loss is the mean of, where these are not the inputs of the batch.

        With several workers the joint loss is the mean over the things of all of them. A loss that is no mean over
        things of single inputs is made of :func:`trainables.layers.joint_rows.joint_rows`, and not named here.
        """
        return {}

    def transform(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Change a training batch before the forward pass (volume augmentation)."""
        return batch

    def refine(self, outputs: Outputs, batch: Batch) -> Outputs:
        """Change the host's outputs at inference, before they are stored (corrected class logits)."""
        return outputs

    def raw(self, outputs: Outputs) -> Mapping[str, Tensor]:
        """Further (B, ...) tensors to store with the host's raw outputs, for ``rescore``."""
        return {}

    def rescore(self, detections: Detections, raw: Sequence[RawOutput], config: Any) -> Detections:
        """Change detections at inference, from what ``raw`` stored; scores of frames are left as they are.

        Args:
            detections: of whole videos.
            raw: stored outputs of these videos.
            config: the task's ``Config``, possibly with other inference parameters than at training.
        """
        return detections


class DatasetConfig(Protocol):
    """The ``Config`` dataclass of a data set (frozen, imports no torch at module level)."""

    key: ClassVar[str]
    #: strongest labels the data set has; a weakly supervised detector is handed less.
    supervision: ClassVar[Supervision]
    #: what its batches hold, "feats" or "frames": only detectors that read it can be trained on it.
    inputs: ClassVar[str]

    def prepare(self, data_root: Path) -> None:
        """Make sure the data are under ``data_root``: build what can be built, check what cannot.

        Raises:
            FileNotFoundError: something is missing; the message names it and the command that makes it.
        """
        ...

    def has_trimmed(self, data_root: Path) -> bool:
        """Whether there are trimmed clips of its classes, under the split "trimmed"."""
        ...

    def remarks(self, data_root: Path) -> tuple[str, ...]:
        """What a report has to say about the data: videos that were left out, and why."""
        ...

    def digest(self, data_root: Path) -> str:
        """Hash of the data as they are, cheap (from the manifest)."""
        ...

    def open(self, data_root: Path) -> Dataset:
        """Open for reading; features stay memory-mapped."""
        ...


class Dataset(Protocol):
    """Videos, labels and features in three splits: train, select, test."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        ...

    @property
    def feat_dim(self) -> int:
        """C."""
        ...

    def video_ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, in a fixed order."""
        ...

    def durations_s(self) -> Mapping[str, float]:
        """Video id -> duration in seconds, all splits."""
        ...

    def ground_truth(self, split: str) -> GroundTruth:
        """Segments for scoring. Training code never calls this for ``train``."""
        ...

    def batches(
        self,
        split: str,
        *,
        sampling: Sampling,
        batch_size: int,
        supervision: Supervision,
        seed: int,
        epoch: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Inputs of one pass.

        Args:
            split: train, select or test; "trimmed" = clips that show one action each, where there are any.
            sampling: ``sampling.train`` is used when ``epoch`` is given, ``sampling.test`` otherwise.
            batch_size: B of all workers together; the last batch may be smaller.
            supervision: labels handed out: "none", "video_labels", or "segments" (everything).
            seed: with ``epoch`` and the video's index, the only source of randomness.
            epoch: shuffles and draws anew each epoch; None = in order, deterministic.
            rank: this worker.
            world_size: number of workers; each takes its share of every batch, and where it would have none, none.
        """
        ...
