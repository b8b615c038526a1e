"""What R-C3D's configurations on features and on frames share: the paper's values as defaults. Imports no torch.

Source: "Three Birds with One Stone" (its host R-C3D, sections 3.3 and 4) and VisionLearningGroup/R-C3D, where a field
says nothing else. Defaults are those of THUMOS'14; where ActivityNet and Charades differ, the field says so. A *cell*
is one column of the shared map: 8 frames of C3D, or one feature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from trainables.config import FrameInput, Phase, Sampling, param
from trainables.detectors.r_c3d.presets import ANCHOR_SCALES

_RELEASE = "VisionLearningGroup/R-C3D"


@dataclass(frozen=True)
class Anchors:
    """Lengths of the segments that every cell proposes."""

    preset: Literal[
        "thumos14_paper", "thumos14_release", "activitynet_paper", "activitynet_release", "charades"
    ] = param(
        "thumos14_paper", "published set of lengths", symbol="K", choices=tuple(ANCHOR_SCALES),
        source=f"4.1 to 4.3; {_RELEASE}:experiments",
    )  # fmt: skip
    scales: tuple[float, ...] | None = param(None, "lengths of your own, cells; null = the preset's", source="ours")

    def __post_init__(self) -> None:
        scales = self.scales
        if scales is not None and (not scales or min(scales) <= 0 or len(set(scales)) != len(scales)):
            raise ValueError(f"anchors.scales: {list(scales)} must be different lengths above 0; null takes the preset")

    @property
    def lengths(self) -> tuple[float, ...]:
        """A lengths in cells."""
        return ANCHOR_SCALES[self.preset] if self.scales is None else self.scales


@dataclass(frozen=True)
class Rpn:
    """Proposal subnet: its layers, what it learns from, and which proposals it hands on.

    The values for the test act in the forward pass, before regions are pooled: they need no training, but new outputs.
    """

    variant: Literal["single", "double"] = param(
        "single", "one convolution, or two with spatial stride 2 (ActivityNet)", choices=("single", "double"),
        source=f"{_RELEASE}:experiments/*/train.prototxt",
    )  # fmt: skip
    width: int = param(512, "channels", bounds=(1, None), source=f"{_RELEASE}:experiments/*/train.prototxt")
    pos_tiou: float = param(
        0.7, "an anchor of this tIoU with a segment is positive", search=(0.5, 0.8), bounds=(0.0, 1.0),
        source=f"{_RELEASE}:lib/rpn/anchor_target_layer.py",
    )  # fmt: skip
    neg_tiou: float = param(
        0.3, "an anchor below this tIoU with all segments is negative", search=(0.1, 0.4), bounds=(0.0, 1.0),
        source=f"{_RELEASE}:lib/rpn/anchor_target_layer.py",
    )  # fmt: skip
    batch: int = param(
        64, "anchors of an input that are learnt from, at most half of them positive", search=(32, 256), log=True,
        bounds=(2, None), source=f"{_RELEASE}:experiments/*/td_cnn_end2end.yml",
    )  # fmt: skip
    min_size: float = param(
        1.0, "shorter proposals are dropped, cells; ActivityNet, Charades: 0", bounds=(0.0, None),
        source=f"{_RELEASE}:experiments/thumos14/td_cnn_end2end.yml",
    )  # fmt: skip
    pre_nms_train: int = param(12000, "best proposals before suppression, training", bounds=(1, None), source=_RELEASE)
    post_nms_train: int = param(2000, "and after it", bounds=(1, None), source=_RELEASE)
    nms_train: float = param(
        0.7, "proposals above this tIoU with a better one go, training; ActivityNet: 0.8", search=(0.6, 0.95),
        bounds=(0.0, 1.0), source=_RELEASE,
    )  # fmt: skip
    pre_nms_test: int = param(6000, "best proposals before suppression, test", bounds=(1, None), source=_RELEASE)
    post_nms_test: int = param(
        300, "and after it", search=(50, 1000), log=True, bounds=(1, None), source=_RELEASE
    )  # fmt: skip
    nms_test: float = param(
        0.7, "proposals above this tIoU with a better one go, test; ActivityNet: 0.9", search=(0.5, 0.95),
        bounds=(0.0, 1.0), source=_RELEASE,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.neg_tiou > self.pos_tiou:
            raise ValueError(
                f"rpn.neg_tiou: {self.neg_tiou} is above rpn.pos_tiou, {self.pos_tiou}; an anchor would be both "
                "positive and negative"
            )


@dataclass(frozen=True)
class Roi:
    """Which regions the second stage learns from."""

    batch: int = param(128, "regions of an input", bounds=(1, None), source=f"{_RELEASE}:lib/tdcnn/config.py")
    fg_tiou: float = param(
        0.5, "a region of this tIoU with a segment is positive", search=(0.4, 0.7), bounds=(0.0, 1.0), source=_RELEASE
    )
    bg_lo: float = param(
        0.0, "least tIoU of a background region; ActivityNet: 0.1", search=(0.0, 0.2), bounds=(0.0, 1.0),
        source=f"{_RELEASE}:experiments/*/td_cnn_end2end.yml",
    )  # fmt: skip
    fg_fraction: float = param(
        0.25, "positive regions are at most this share; ActivityNet: 0.5", search=(0.1, 0.5), bounds=(0.0, 1.0),
        source=f"{_RELEASE}:experiments/*/td_cnn_end2end.yml",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.bg_lo >= self.fg_tiou:
            raise ValueError(
                f"roi.bg_lo: {self.bg_lo} must be below roi.fg_tiou, {self.fg_tiou}; no region would be background"
            )


@dataclass(frozen=True)
class Trunk:
    """Fully connected layers between a pooled region and the heads."""

    width: int = param(4096, "D", bounds=(1, None), source=f"{_RELEASE}:experiments/*/train.prototxt")
    layers: Literal[1, 2] = param(
        2, "fc6 and fc7; ActivityNet: fc6 alone", choices=(1, 2), source=f"{_RELEASE}:experiments/*/train.prototxt"
    )
    dropout: float = param(
        0.0, "after each layer; ActivityNet, Charades: 0.5", choices=(0.0, 0.5), bounds=(0.0, 0.95),
        source=f"{_RELEASE}:experiments/*/train.prototxt",
    )  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """Weights of the losses."""

    lambda_reg: float = param(
        1.0, "of both regression losses", symbol="lambda", search=(0.1, 10.0), log=True, bounds=(0.0, None),
        source="Eq. (8), 3.3",
    )  # fmt: skip


@dataclass(frozen=True)
class Optim:
    """Optimisation; biases learn at twice the rate and do not decay."""

    optimizer: Literal["sgd", "adam"] = param("sgd", "optimiser", source=f"{_RELEASE}:experiments/*/solver.prototxt")
    lr: float = param(
        1e-4, "learning rate; Charades: 1e-3", search=(1e-5, 3e-3), log=True, bounds=(0.0, None), source="4.1 to 4.3"
    )
    momentum: float = param(0.9, "of SGD", bounds=(0.0, 0.999), source=f"{_RELEASE}:experiments/*/solver.prototxt")
    weight_decay: float = param(
        5e-4, "L2 penalty", search=(1e-5, 1e-2), log=True, bounds=(0.0, None),
        source=f"{_RELEASE}:experiments/*/solver.prototxt",
    )  # fmt: skip
    epochs: int = param(5, "passes over the training windows; ActivityNet, Charades: 15", bounds=(0, None),
        source="4.2, 4.3; THUMOS'14: sunnyxiaohu/R-C3D.pytorch",
    )  # fmt: skip
    lr_decay_epoch: int = param(
        10, "the rate falls once, after so many epochs; from epochs on: never", search=(3, 20), bounds=(1, None),
        source="4.2, 4.3",
    )  # fmt: skip
    lr_factor: float = param(0.1, "of that fall", bounds=(0.0, 1.0), source="4.2, 4.3")
    batch_size: int = param(1, "windows a step", bounds=(1, None), source=_RELEASE)
    grad_clip: float | None = param(
        None, "L2 norm over all gradients; null = off, as in the release", bounds=(1e-6, None), source="ours"
    )


@dataclass(frozen=True)
class Infer:
    """From raw outputs to detections; nothing here needs training again."""

    score_thresh: float = param(
        0.05, "least class probability; ActivityNet: 0.005, Charades: 0.0064", search=(1e-4, 0.1), log=True,
        bounds=(0.0, 1.0), source=f"{_RELEASE}:experiments/*/test/test_net.py", acts="inference",
    )  # fmt: skip
    clip_nms: float = param(
        0.3, "suppression above this tIoU in a window, of a class; ActivityNet: 0.4", search=(0.2, 0.7),
        bounds=(0.0, 1.0), source=f"{_RELEASE}:lib/tdcnn/test.py", acts="inference",
    )  # fmt: skip
    video_nms: float | None = param(
        None, "suppression above this tIoU in a video, of a class; null = each evaluation threshold less 0.1, and 0.4 "
        "where there is none. Charades: 0.4, ActivityNet: 0.99999, none",
        search=(0.1, 0.9), bounds=(0.0, 1.0), source=f"{_RELEASE}:experiments/*/test", acts="inference",
    )  # fmt: skip
    soft_nms_sigma: float | None = param(
        None, "in the video Soft-NMS of this width in the place of hard suppression; null = hard", search=(0.1, 1.0),
        log=True, bounds=(1e-3, None), source="ours", acts="inference",
    )  # fmt: skip


@dataclass(frozen=True)
class Window:
    """Windows that a video is cut into, in samples of the input: frames, or features."""

    length: int = param(
        768, "samples of a window; the release's anchors of THUMOS'14: 512", symbol="L", bounds=(8, None),
        source="R-C3D; sunnyxiaohu/R-C3D.pytorch",
    )  # fmt: skip
    stride_train: int = param(
        192, "samples between two training windows; with 512: 128", bounds=(1, None), source=f"{_RELEASE}:preprocess"
    )
    stride_test: int = param(
        192, "samples between two windows at test; the last one ends with the video", bounds=(1, None),
        source=f"{_RELEASE}:preprocess; the last window: ours",
    )  # fmt: skip
    keep_ratio: float = param(
        0.7, "a segment that a window cuts stays a target where this share of it lies inside; training windows without "
        "any are dropped. Charades: 0.8, the release on THUMOS'14: 1",
        bounds=(0.0, 1.0), source=f"{_RELEASE}:preprocess",
    )  # fmt: skip
    min_target: float = param(
        3.0, "what a window leaves of a target is at least so long, samples; ActivityNet: 0.375, 3 frames of the "
        "video; Charades, the release on THUMOS'14: 0", bounds=(0.0, None),
        source="sunnyxiaohu/R-C3D.pytorch:preprocess/thumos14; VisionLearningGroup/R-C3D:preprocess",
    )  # fmt: skip
    both_ways: bool = param(
        True, "training windows slide from the beginning, and again from the end",
        source="4.1; R-C3D 4.1",
    )  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Fields of both configurations."""

    anchors: Anchors = Anchors()
    rpn: Rpn = Rpn()
    roi: Roi = Roi()
    trunk: Trunk = Trunk()
    loss: Loss = Loss()
    optim: Optim = Optim()
    window: Window = Window()
    infer: Infer = Infer()
    legacy_inclusive: bool = param(
        False, "a segment holds both its end samples (length e - s + 1), as the released Caffe network was trained",
        source=f"{_RELEASE}:lib/tdcnn/twin_transform.py",
    )  # fmt: skip

    def at_tiou(self, threshold: float) -> Settings | None:
        """With the suppression of detections that are scored at this tIoU; None where it is the same for all.

        Source: VisionLearningGroup/R-C3D, whose author answers so in issue 13.
        """
        if self.infer.video_nms is not None or self.infer.soft_nms_sigma is not None:
            return None
        return replace(self, infer=replace(self.infer, video_nms=max(0.0, round(threshold - 0.1, 9))))

    @property
    def batch_size(self) -> int:
        """Windows per step."""
        return self.optim.batch_size

    def windows(self, frames: FrameInput | None = None) -> Sampling:
        """Sliding windows; those of training show a segment at least as far as it would be kept."""
        window = self.window
        return Sampling(
            "window",
            "window",
            window.length,
            window_stride=(window.stride_train, window.stride_test),
            keep_ratio=window.keep_ratio,
            min_inside=window.keep_ratio,
            both_ways=window.both_ways,
            min_target=window.min_target,
            frames=frames,
        )

    def recipe(self, frozen: tuple[str, ...] = ()) -> tuple[Phase, ...]:
        """One phase with Eq. (8); ``positive_regions`` has no weight: it is there to be logged."""
        optim, weight = self.optim, self.loss.lambda_reg
        losses = {"rpn_class": 1.0, "rpn_offset": weight, "roi_class": 1.0, "roi_offset": weight}
        return (
            Phase(
                "detect",
                optim.epochs,
                optim.lr,
                losses | {"positive_regions": 0.0},
                optimizer=optim.optimizer,
                weight_decay=optim.weight_decay,
                momentum=optim.momentum if optim.optimizer == "sgd" else 0.0,
                lr_milestones=(optim.lr_decay_epoch,),
                lr_factor=optim.lr_factor,
                bias_lr_multiplier=2.0,
                decay_biases=False,
                grad_clip_norm=optim.grad_clip,
                frozen=frozen,
            ),
        )

    def parts(self) -> dict[str, Any]:
        """The fields that the network reads."""
        names = ("anchors", "rpn", "roi", "trunk")
        return {name: getattr(self, name) for name in names} | {"inclusive": self.legacy_inclusive}
