"""The module of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.config import Phase
from trainables.contracts import TaskBase
from trainables.layers.input_draws import uniform_of_inputs
from trainables.layers.volume.apply import apply_plan, with_background
from trainables.layers.volume.clips import Clips
from trainables.layers.volume.draw import NUM_DRAWS, draw_plan
from trainables.layers.volume.settings import Scheme
from trainables.losses.pretext import Kind, Norm, volume_loss
from trainables.records import Batch, Outputs

#: The loss of a host's own pretraining, plain classification of clips, which a task of that stage takes the place of.
CLIP_LOSS = "clip"


class VolumeTask(TaskBase):
    """The loss of a host on augmented clips.

    In pretraining the host sees the augmented clips alone. As an auxiliary it sees the batch as it is and then, in a
    second forward pass, the augmented one. With "soft_ce" a softmax runs over the K classes of the host and a column 0
    for background: for a linear last layer that is as good as K + 1 columns, of which one is redundant.

    Args:
        name: of the task and of its loss.
        host: the detector.
        scheme: "feats" or "frames" -> what is drawn.
        pretrain: whether the task belongs to pretraining.
        loss: cross-entropy with mixed labels, or of each class by itself.
        norm: of "soft_ce".
    """

    def __init__(
        self, *, name: str, host: Any, scheme: Callable[[str], Scheme], pretrain: bool, loss: Kind, norm: Norm
    ) -> None:
        super().__init__()
        self._name, self._pretrain = name, pretrain
        self._host = (host,)  # no submodule of the task
        self._scheme = scheme
        self._loss, self._norm = loss, norm
        self._clips: Clips | None = None
        self._num_frames = 0.0

    def takes_part(self, phase: Phase) -> bool:
        """Pretraining is on trimmed clips, and detection is not."""
        return (phase.split == "trimmed") == self._pretrain

    def replaces(self) -> Collection[str]:
        """Plain classification, in pretraining."""
        return (CLIP_LOSS,) if self._pretrain else ()

    def transform(self, batch: Batch) -> Batch:
        """In pretraining the batch becomes augmented clips."""
        if not self._pretrain:
            return batch
        self._clips = self.augmented(batch)
        return _batch_of(self._clips, batch)

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """The loss on augmented clips, named as the task is."""
        if outputs.frame_logits is None:
            raise ValueError(f"{self._name} needs the host's frame_logits")
        if not self._pretrain:
            self._clips = self.augmented(batch)
            outputs = self._host[0](_batch_of(self._clips, batch))
        clips, logits = self._clips, outputs.frame_logits
        assert clips is not None and logits is not None, "the batch was transformed before"
        clips = clips.where(outputs.valid_mask)
        self._num_frames = float(clips.weights.sum())
        if self._loss == "soft_ce":
            logits = F.pad(logits, (0, 1))
        return {self._name: volume_loss(logits, clips, kind=self._loss, norm=self._norm)}

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """Frames of the augmented clips of which the loss is the mean."""
        return {self._name: self._num_frames}

    def augmented(self, batch: Batch) -> Clips:
        """Clips of the batch, with the background as a further class where it is one.

        Every input draws numbers of its own, whoever has it; partners are sought among the inputs that are here.

        Raises:
            ValueError: the batch has no labels.
        """
        video = batch.frames if batch.feats is None else batch.feats
        if batch.frame_labels is None or batch.video_labels is None or video is None:
            raise ValueError(f"{self._name} needs labels, and features or frames; the batch has none")
        scheme = self._scheme("frames" if batch.feats is None else "feats")
        count = batch.valid_mask.sum(dim=1)
        numbers = uniform_of_inputs(torch.full((len(count),), NUM_DRAWS)).reshape(-1, NUM_DRAWS)
        plan = draw_plan(numbers, count, scheme)
        frame_labels = batch.frame_labels
        if self._pretrain:  # of a trimmed clip in every frame, also in one that the end of the clip cuts
            frame_labels = batch.video_labels[:, None] * batch.valid_mask[:, :, None]
        one_class = self._loss == "soft_ce"
        labels = with_background(frame_labels) if one_class else frame_labels
        clips = Clips.of(video, labels, count)
        return apply_plan(
            clips, plan, vm=scheme.vm, vc=scheme.vc, background=labels.shape[2] - 1 if one_class else None
        )


def _batch_of(clips: Clips, batch: Batch) -> Batch:
    """The batch with augmented clips; segments, which would have other shares, are none.

    Behind the end of a clip its last frame is repeated, as data sets of frames have it; features are 0 there.
    """
    assert batch.frame_labels is not None, "checked before"
    if batch.feats is None and not bool(clips.valid_mask.all()):
        time = torch.arange(clips.video.shape[2], device=clips.video.device)
        repeated = clips.frames(torch.minimum(time, clips.num_frames[:, None] - 1))
        clips = replace(clips, video=repeated.video)
    labels = clips.frame_labels[..., : batch.frame_labels.shape[2]]
    return replace(
        batch,
        feats=None if batch.feats is None else clips.video,
        frames=clips.video if batch.feats is None else batch.frames,
        valid_mask=clips.valid_mask,
        frame_labels=labels,
        video_labels=labels.amax(dim=1).gt(0).to(labels.dtype),
        segments=None,
    )
