"""Settings of SP-TAD on features and on frames: the published values as defaults. Imports no torch.

Source: Wu et al., "Towards High-Quality Temporal Action Detection with Sparse Proposals", 2021, where a field says
nothing else. There is no official code: its head is Sparse R-CNN's in one dimension, its clips are AFSD's, and what the
paper leaves out is taken from PeizeSun/SparseR-CNN and TencentYoutuResearch/ActionDetection-AFSD. Defaults are those of
THUMOS'14; where ActivityNet-1.3 differs, the field says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from trainables.config import FrameInput, Phase, Sampling, param

_RELEASE = "PeizeSun/SparseR-CNN"
_HEAD = f"{_RELEASE}:projects/SparseRCNN/sparsercnn/head.py"
_LOSS = f"{_RELEASE}:projects/SparseRCNN/sparsercnn/loss.py"
_CONFIG = f"{_RELEASE}:projects/SparseRCNN/sparsercnn/config.py"
_AFSD = "TencentYoutuResearch/ActionDetection-AFSD"


@dataclass(frozen=True)
class Fpn:
    """Details of the pyramid that the paper does not give."""

    norm: Literal["none", "gn32"] = param(
        "none", "after its convolutions; gn32: groups of 32", choices=("none", "gn32"), source="detectron2's FPN"
    )
    lateral_kernel: Literal[1, 3] = param(1, "of the lateral convolutions", choices=(1, 3), source="ours")
    out_conv: bool = param(True, "a convolution of kernel 3 behind every sum", source="detectron2's FPN")
    pool_kernel: Literal[1, 2, 3] = param(
        1, "of the pooling that makes the coarsest level of `inter`", choices=(1, 2, 3), source="detectron2's FPN"
    )
    high_step: Literal["conv", "pool"] = param(
        "conv",
        "how `high` halves a level: convolution of kernel 3, or maximum",
        choices=("conv", "pool"),
        source="ours",
    )


@dataclass(frozen=True)
class Soi:
    """Features of a segment of interest."""

    resolution: int = param(
        16, "positions that a segment is resampled to", symbol="T'", choices=(4, 8, 16, 32), bounds=(1, None),
        source="frostinassiky/gtad; the paper gives none",
    )  # fmt: skip
    expand: float | None = param(
        5.0, "a segment is extended by its length divided by this on both sides; null = not", symbol="eta",
        search=(2.0, 20.0), log=True, bounds=(0.1, None), source="3.1.3",
    )  # fmt: skip
    level_from: Literal["segment", "expanded"] = param(
        "segment", "whose length chooses the pyramid level, Eq. (1)", choices=("segment", "expanded"), source="ours"
    )
    mode: Literal["half_pixel", "gtad"] = param(
        "half_pixel", "sample i lies at i + 1/2, or at i", choices=("half_pixel", "gtad"),
        source="detectron2's ROIAlignV2; frostinassiky/gtad",
    )  # fmt: skip
    sampling_ratio: int = param(
        0, "samples of a position; 0 = as many as it is long", bounds=(0, None), source="frostinassiky/gtad"
    )


@dataclass(frozen=True)
class Head:
    """Sizes of one stage."""

    attention_heads: int = param(8, "of the attention among proposals", bounds=(1, None), source=_CONFIG)
    dim_dynamic: int = param(
        64, "inner width of the dynamic interaction", symbol="d_h", choices=(16, 32, 64, 128), bounds=(1, None),
        source=_CONFIG,
    )  # fmt: skip
    ffn: int = param(2048, "inner width of the feed-forward layers", bounds=(1, None), source=_CONFIG)
    num_cls_fc: int = param(1, "layers before the classifier", choices=(0, 1), bounds=(0, None), source=_CONFIG)
    num_reg_fc: int = param(3, "layers before the regression", bounds=(0, None), source=_CONFIG)
    dropout: float = param(
        0.0, "in attention, interaction and feed-forward layers", search=(0.0, 0.3), bounds=(0.0, 0.95), source=_CONFIG
    )


@dataclass(frozen=True)
class Loss:
    """Weights of the losses; every stage counts the same."""

    cls: float = param(
        2.0, "of classification", symbol="lambda_cls", search=(0.5, 8.0), log=True, bounds=(0.0, None), source=_CONFIG
    )
    l1: float = param(
        5.0, "of the distance of ends", symbol="lambda_L1", search=(1.0, 20.0), log=True, bounds=(0.0, None),
        source=_CONFIG,
    )  # fmt: skip
    giou: float = param(
        2.0, "of 1 - generalised tIoU", symbol="lambda_giou", search=(0.5, 8.0), log=True, bounds=(0.0, None),
        source=_CONFIG,
    )  # fmt: skip
    act: float = param(
        1.0, "of the clip's classes", symbol="lambda_act", search=(0.1, 10.0), log=True, bounds=(0.0, None),
        source="ours; the paper gives none",
    )  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Weights of the matching cost; null = that of the loss."""

    cls: float | None = param(None, "of classification", search=(0.5, 8.0), log=True, bounds=(0.0, None), source=_LOSS)
    l1: float | None = param(
        None, "of the distance of ends", search=(1.0, 20.0), log=True, bounds=(0.0, None), source=_LOSS
    )
    giou: float | None = param(
        None, "of the generalised tIoU", search=(0.5, 8.0), log=True, bounds=(0.0, None), source=_LOSS
    )


@dataclass(frozen=True)
class Focal:
    """Focal loss, in the loss and in the matching cost."""

    alpha: float = param(
        0.25, "weight of positives", symbol="alpha", search=(0.1, 0.75), bounds=(0.0, 1.0), source=_CONFIG
    )
    gamma: float = param(2.0, "power of 1 - p", symbol="gamma", search=(0.0, 4.0), bounds=(0.0, None), source=_CONFIG)


@dataclass(frozen=True)
class Optim:
    """AdamW."""

    lr: float = param(1e-4, "learning rate", search=(1e-5, 5e-4), log=True, bounds=(1e-9, None), source="4.1")
    weight_decay: float = param(
        1e-4, "of every parameter", search=(1e-5, 1e-2), log=True, bounds=(0.0, None), source="4.1"
    )
    epochs: int = param(16, "passes over the training clips", bounds=(0, None), source="4.1")
    lr_decay_epoch: int = param(
        12, "the learning rate falls to a tenth after this epoch", bounds=(1, None), source="4.1"
    )
    batch_size: int = param(16, "clips per step", bounds=(1, None), source="4.1")
    grad_clip: float | None = param(
        1.0, "L2 norm over all gradients; null = off", search=(0.1, 5.0), log=True, bounds=(1e-6, None), source=_CONFIG
    )


@dataclass(frozen=True)
class Infer:
    """From raw outputs to detections; nothing here needs training again."""

    act_score_power: float = param(
        1.0, "a score is multiplied with this power of the class's probability in the clip", search=(0.0, 2.0),
        bounds=(0.0, None), source="3.2.2", acts="inference",
    )  # fmt: skip
    top_pairs: int | None = param(
        None, "best pairs of segment and class that a clip keeps; null = as many as proposals", bounds=(1, None),
        source=f"{_RELEASE}:projects/SparseRCNN/sparsercnn/detector.py", acts="inference",
    )  # fmt: skip
    score_threshold: float = param(
        1e-3, "lower scores are dropped before suppression; AFSD: 0.01, of scores that are no products",
        search=(1e-5, 0.1), log=True, bounds=(0.0, 1.0), source="ours", acts="inference",
    )  # fmt: skip
    nms_sigma: float | None = param(
        0.5, "width of Soft-NMS, of a class over all clips of a video; null = none, as for ActivityNet",
        symbol="sigma", search=(0.1, 1.2), log=True, bounds=(1e-3, None), source=f"4.1; {_AFSD}", acts="inference",
    )  # fmt: skip
    nms_min_score: float = param(
        1e-3, "scores that Soft-NMS weakens below are dropped", search=(1e-5, 1e-2), log=True, bounds=(0.0, 1.0),
        source=_AFSD, acts="inference",
    )  # fmt: skip
    max_detections: int = param(
        200, "detections per video; ActivityNet: 100", search=(50, 2000), log=True, bounds=(1, None),
        source="ours; AFSD 5000, OpenTAD 2000", acts="inference",
    )  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What SP-TAD has on features and on frames."""

    pyramid: Literal["single", "high", "inter"] = param(
        "inter", "one level of the last stage, four made of the last stage, or one of each stage and a coarser one",
        choices=("single", "high", "inter"), source="3.1.2, Table 5",
    )  # fmt: skip
    num_heads: int = param(
        4, "detection heads one behind the other: stages of refinement", symbol="S", search=(1, 6), bounds=(1, None),
        source="Table 6",
    )  # fmt: skip
    act_head: bool = param(
        True, "the classes of the whole clip are learnt, and multiplied into the scores", choices=(False, True),
        source="3.1.4, Table 7",
    )  # fmt: skip
    num_proposals: int = param(
        50, "proposals of a clip; ActivityNet: 100", symbol="N", choices=(30, 50, 75, 100, 150, 200), bounds=(1, None),
        source="4.1",
    )  # fmt: skip
    proposal_init: Literal["full", "random", "grid"] = param(
        "full", "segments that proposals begin as: the whole clip, any, or halves of halves",
        choices=("full", "random", "grid"), source=_HEAD,
    )  # fmt: skip
    width: int = param(
        256, "channels of the pyramid and of proposals; a multiple of head.attention_heads", symbol="d",
        bounds=(1, None), source="3.1.2",
    )  # fmt: skip
    whole_video: bool = param(
        False, "a video is one clip, as on ActivityNet: features interpolated to its length, frames taken evenly",
        source="4.1",
    )  # fmt: skip
    clip_ioa_threshold: float = param(
        0.5, "an instance belongs to a clip where at least this share of it lies inside", search=(0.3, 0.9),
        bounds=(0.0, 1.0), source="4.2",
    )  # fmt: skip
    test_overlap: float = param(
        0.5, "share that neighbouring clips have in common at test", search=(0.0, 0.75), bounds=(0.0, 0.95),
        source="Table 8",
    )  # fmt: skip
    fpn: Fpn = Fpn()
    soi: Soi = Soi()
    head: Head = Head()
    loss: Loss = Loss()
    cost: Cost = Cost()
    focal: Focal = Focal()
    optim: Optim = Optim()
    infer: Infer = Infer()

    def __post_init__(self) -> None:
        if self.width % self.head.attention_heads:
            raise ValueError(
                f"width: {self.width} must be a multiple of head.attention_heads, {self.head.attention_heads}"
            )

    @property
    def batch_size(self) -> int:
        """Clips per step."""
        return self.optim.batch_size

    def clips(self, length: int, train_stride: int, frames: FrameInput | None = None) -> Sampling:
        """Sliding windows, those of training with at least one whole instance; or one clip of each video.

        Args:
            length: of a clip, samples.
            train_stride: from one training clip to the next, samples.
            frames: how they are made, for the detector that reads them.
        """
        if self.whole_video:
            kind: Literal["rescale", "uniform"] = "rescale" if frames is None else "uniform"
            return Sampling(kind, kind, length, frames=frames)
        return Sampling(
            "window",
            "window",
            length,
            window_stride=(train_stride, max(round(length * (1 - self.test_overlap)), 1)),
            keep_ratio=self.clip_ioa_threshold,
            min_inside=1.0,
            frames=frames,
        )

    def loss_weights(self) -> dict[str, float]:
        """Eq. (2) with the losses of every stage: the name of a loss -> its weight."""
        own = {"class": self.loss.cls, "l1": self.loss.l1, "giou": self.loss.giou}
        stages = {f"stage{k}_{name}": weight for k in range(1, self.num_heads + 1) for name, weight in own.items()}
        return stages | ({"act": self.loss.act} if self.act_head else {})

    def cost_weights(self) -> tuple[float, float, float]:
        """Of classification, distance of ends, generalised tIoU."""
        cost, loss = self.cost, self.loss
        return (
            loss.cls if cost.cls is None else cost.cls,
            loss.l1 if cost.l1 is None else cost.l1,
            loss.giou if cost.giou is None else cost.giou,
        )

    def recipe(self, **differences: Any) -> tuple[Phase, ...]:
        """All stages at once.

        Args:
            **differences: further fields of the phase.
        """
        optim = self.optim
        return (
            Phase(
                "train",
                optim.epochs,
                optim.lr,
                self.loss_weights(),
                optimizer="adamw",
                weight_decay=optim.weight_decay,
                lr_milestones=(optim.lr_decay_epoch,),
                grad_clip_norm=optim.grad_clip,
                **differences,
            ),
        )
