"""A network of per-frame logits as a detector."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from trainables.contracts import Inputs
from trainables.detections import FrameScores
from trainables.detectors.frame_level.network import FrameNetwork
from trainables.detectors.frame_level.pretrain import FINETUNE
from trainables.detectors.frame_level.scores import frame_scores
from trainables.losses.frame_level import localisation_loss, presence_loss, resampled, summed_loss
from trainables.losses.pretext import clip_loss
from trainables.records import Batch, Outputs, RawOutput

LOSSES = {"loc": localisation_loss, "cls": presence_loss, "summed": summed_loss, "clip": clip_loss}


class FrameLevelDetector(nn.Module):
    """Learns the classes of every frame, any number of them at once.

    Args:
        network: of logits.
        reads: what it takes.
    """

    def __init__(self, network: FrameNetwork, reads: Literal["feats", "frames"]) -> None:
        super().__init__()
        self.network = network
        self._reads = reads

    def forward(self, batch: Batch) -> Outputs:
        """The view ``frame_logits`` at the samples of the input.

        Raises:
            ValueError: the batch does not hold what the network reads.
        """
        read = batch.feats if self._reads == "feats" else batch.frames
        if read is None:
            raise ValueError(f"this detector reads {self._reads}; the batch has none")
        logits = resampled(self.network(read, batch.valid_mask).transpose(1, 2), batch.valid_mask.shape[1])
        return Outputs(batch.valid_mask, frame_logits=logits, raw={"frame_logits": logits.detach()})

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """``loc`` and ``cls`` of SSDet, ``summed`` of the heads, and ``clip`` of pretraining on trimmed clips.

        See :mod:`trainables.losses.frame_level` and :mod:`trainables.losses.pretext`.

        Raises:
            ValueError: a name that is none of them, or a batch without frame labels.
        """
        unknown = sorted(set(active) - LOSSES.keys())
        if unknown:
            raise ValueError(f"no loss {', '.join(unknown)}; a frame-level detector has {', '.join(LOSSES)}")
        logits, labels = outputs.frame_logits, batch.frame_labels
        if logits is None or labels is None:
            raise ValueError("the losses of frames need frame logits and frame labels; they are not there")
        return {name: LOSSES[name](logits, labels, batch.valid_mask) for name in active}

    def begin_phase(self, name: str, inputs: Inputs) -> None:
        """New class layers where the detection data begin after pretraining."""
        if name == FINETUNE:
            self.network.renew_classes()

    def loss_counts(self, outputs: Outputs, batch: Batch) -> Mapping[str, float]:
        """Valid frames, but for ``cls`` and ``clip``, which are means over inputs."""
        return dict.fromkeys(("loc", "summed"), float(batch.valid_mask.sum()))

    def detect(self, raw: Sequence[RawOutput], config: Any) -> FrameScores:
        """Logits of every sample of whole videos; nothing is configured."""
        return frame_scores(raw)
