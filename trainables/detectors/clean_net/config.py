"""Configuration of CleanNet: the paper's values as defaults. Imports no torch.

Source: Liu et al., "Weakly Supervised Temporal Action Localization through Contrast based Evaluation Networks",
ICCV 2019, where a field says nothing else. The paper leaves several values open; those are marked "ours" or carry the
repository they come from.

The components of its Table 1: C1 ``gen.train``, C2 and C3 ``contrast.terms``, C4 ``gen.tsn_sampling``, C5 ``joint``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Literal

from trainables.config import Phase, Sampling, param
from trainables.detectors.untrimmed_net.config import Cls, Data, Warmup, warmup_phase

_ANCHORS = ((1, 2, 4, 8, 16, 32), (2, 4, 8, 16, 32), (2, 4, 8, 16, 32, 64))
_TERMS = (("action", "edge"), ("action",), ("edge",), ("oic",))


@dataclass(frozen=True)
class Gen:
    """Action proposal generator."""

    train: bool = param(True, "C1: regress anchors; otherwise the anchors themselves are scored", source="Table 1")
    width: int = param(
        128, "channels", choices=(64, 128, 256), bounds=(1, None), source="zhengshou/AutoLoc:exp/TH14/train.tpl"
    )
    layers: int = param(3, "temporal convolutions", bounds=(1, 8), source="Fig. 2")
    norm: Literal["none", "bn", "gn"] = param(
        "gn", "after each convolution; gn: group norm, for batches of one video", choices=("none", "bn", "gn"),
        source="ours; bn: zhengshou/AutoLoc:exp/TH14/train.tpl",
    )  # fmt: skip
    tsn_sampling: bool = param(
        True, "C4: an anchor's offsets come from samples along it, not from its centre", source="3.3.1"
    )
    parts: int = param(
        3, "samples of an anchor", symbol="K", choices=(3, 4, 5, 7, 8), bounds=(1, 64),
        source="yjxiong/tsn-pytorch; the paper does not say",
    )  # fmt: skip
    anchors: tuple[int, ...] = param(
        (1, 2, 4, 8, 16, 32), "anchor lengths, snippets", choices=_ANCHORS,
        source="4.1, THUMOS'14; ActivityNet-1.2: 16 to 512",
    )  # fmt: skip


@dataclass(frozen=True)
class Contrast:
    """Contrast evaluator: a score of segments without parameters."""

    window: int = param(
        7, "of maximum and minimum pooling, snippets, odd", choices=(3, 5, 7, 9, 11, 15), bounds=(3, 99),
        source="3.3.2",
    )  # fmt: skip
    ratio: float = param(
        0.25, "a boundary's region on each side as a share of the length", search=(0.1, 0.5), bounds=(0.01, 0.5),
        source="Eq. (8)",
    )  # fmt: skip
    terms: tuple[str, ...] = param(
        ("action", "edge"), "C2, C3: scores that count; oic: AutoLoc's score instead",
        source="Eq. (12), Table 1; oic: ours",
    )  # fmt: skip
    w_edge: float = param(
        1.0, "of half the sum of start and end score, beside the action score", search=(0.0, 3.0), bounds=(0.0, None),
        source="Eq. (12)",
    )  # fmt: skip
    tie: Literal["first", "nearest"] = param(
        "first", "which of several equal extrema in a window", choices=("first", "nearest"), source="ours"
    )
    min_region: float = param(0.0, "least length of a region, snippets", bounds=(0.0, None), source="ours")


@dataclass(frozen=True)
class Sel:
    """Which anchors are looked at, and which segments are positive."""

    theta_scp: float = param(
        0.1, "anchors only where the class score reaches this", symbol="theta_scp", search=(0.02, 0.5),
        bounds=(0.0, 1.0), source="zhengshou/AutoLoc:exp/TH14/release/config.yml FG_THRESH; the paper gives no value",
    )  # fmt: skip
    sap_mode: Literal["relative", "raw", "off"] = param(
        "relative", "attention as a multiple of its mean, as its logit, or unused",
        source="ours; raw: zhengshou/AutoLoc:lib/utils/postproc.py",
    )  # fmt: skip
    theta_sap: float = param(
        0.0, "anchors only where the attention reaches this", symbol="theta_sap", search=(0.0, 2.0),
        source="3.4; ours, the paper gives no value",
    )  # fmt: skip
    positive_score: float = param(
        0.5, "segments of a higher contrast score are positive", search=(0.1, 0.9), bounds=(-2.0, 2.0), source="3.4"
    )
    per_position_best: bool = param(
        False, "only the best anchor of a position", source="zhengshou/AutoLoc; the paper names no such step"
    )


@dataclass(frozen=True)
class Reg:
    """Regression loss."""

    margin: float = param(
        2.0, "segments are pushed up to this score", symbol="m", search=(0.8, 2.0), bounds=(0.0, None),
        source="Eq. (13); ours, the paper gives no value",
    )  # fmt: skip
    detach_scp: bool = param(True, "the loss trains the generator only", source="ours")


@dataclass(frozen=True)
class Loss:
    """Weights of the losses of the second phase."""

    w_reg: float = param(
        1.0, "of the regression loss", search=(0.05, 20.0), log=True, bounds=(0.0, None), source="ours"
    )


@dataclass(frozen=True)
class Optim:
    """Second phase: localisation. The paper counts batches of one video; a pass over THUMOS'14 is 200 of them."""

    optimizer: Literal["sgd", "adam"] = param("sgd", "optimiser", source="4.1")
    lr: float = param(1e-4, "learning rate", search=(1e-5, 1e-2), log=True, bounds=(0.0, None), source="4.1")
    momentum: float = param(
        0.9, "of SGD", choices=(0.0, 0.9), bounds=(0.0, 0.999), source="wanglimin/UntrimmedNet:models"
    )
    weight_decay: float = param(
        5e-4, "L2 penalty", search=(1e-6, 1e-2), log=True, bounds=(0.0, None),
        source="wanglimin/UntrimmedNet:models, zhengshou/AutoLoc:exp/TH14/solver.tpl",
    )  # fmt: skip
    lr_step: int = param(
        1, "epochs between falls of the learning rate", search=(1, 10), log=True, bounds=(1, None),
        source="4.1: 200 batches",
    )  # fmt: skip
    lr_factor: float = param(0.1, "of such a fall", bounds=(0.0, 1.0), source="4.1")
    epochs: int = param(3, "passes over the training videos", bounds=(0, None), source="ours: three steps")
    batch_size: int = param(1, "videos, of both phases", bounds=(1, None), source="4.1")
    grad_clip: float = param(
        20.0, "L2 norm over all gradients", bounds=(1e-6, None), source="wanglimin/UntrimmedNet:models"
    )


@dataclass(frozen=True)
class Infer:
    """From raw outputs to detections; nothing here needs training again."""

    method: Literal["contrast", "threshold"] = param(
        "contrast", "segments by contrast score, or runs of the class score as UntrimmedNet's", source="4.1, Table 2",
        acts="inference",
    )  # fmt: skip
    class_thr: float = param(
        0.1, "classes above this probability, or else the most probable one", search=(0.01, 0.3), log=True,
        bounds=(0.0, 1.0), source="4.1", acts="inference",
    )  # fmt: skip
    nms: float = param(
        0.4, "hard suppression above this tIoU", search=(0.2, 0.7), bounds=(0.0, 0.999), source="4.1", acts="inference"
    )
    cls_weight: float = param(
        0.0, "of the class probability, added to the score", symbol="eta", search=(0.0, 1.0), bounds=(0.0, None),
        source="ours", acts="inference",
    )  # fmt: skip
    min_score: float | None = param(
        None, "least contrast score; null = any", bounds=(-2.0, 2.0), source="ours", acts="inference"
    )
    theta_scp: float | None = param(
        None, "sel.theta_scp at test; null = the same", search=(0.02, 0.5), bounds=(0.0, 1.0), source="4.1",
        acts="inference",
    )  # fmt: skip
    theta_sap: float | None = param(
        None, "sel.theta_sap at test; null = the same", search=(0.0, 2.0), source="4.1", acts="inference"
    )
    window: int | None = param(
        None, "contrast.window at test; null = the same", choices=(None, 3, 5, 7, 9, 11, 15), bounds=(3, 99),
        source="3.3.2", acts="inference",
    )  # fmt: skip
    ratio: float | None = param(
        None, "contrast.ratio at test; null = the same", search=(0.1, 0.5), bounds=(0.01, 0.5), source="Eq. (8)",
        acts="inference",
    )  # fmt: skip
    tie: Literal["first", "nearest"] | None = param(
        None, "contrast.tie at test; null = the same", source="ours", acts="inference"
    )
    min_region: float | None = param(
        None, "contrast.min_region at test; null = the same", bounds=(0.0, None), source="ours", acts="inference"
    )
    w_edge: float | None = param(
        None, "contrast.w_edge at test; null = the same", search=(0.0, 3.0), bounds=(0.0, None), source="Eq. (12)",
        acts="inference",
    )  # fmt: skip
    tau: float = param(
        0.5, "method threshold: runs above this share of the class's highest score", bounds=(0.0, 1.0),
        source="wanglimin/UntrimmedNet:matlab/thumos_detection.m", acts="inference",
    )  # fmt: skip
    smooth: bool = param(
        True, "method threshold: mean of each snippet and the next one before it",
        source="wanglimin/UntrimmedNet:matlab/score_smooth.m", acts="inference",
    )  # fmt: skip
    top: int = param(200, "detections per video", bounds=(1, None), source="ours", acts="inference")


@dataclass(frozen=True)
class Config:
    """CleanNet with all components; rows of Table 2 switch them off."""

    key: ClassVar[str] = "clean_net"
    paper: ClassVar[str] = "clean_net"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    inputs: ClassVar[str] = "feats"
    views: ClassVar[tuple[str, ...]] = ("feats", "cas_logits", "video_logits", "segments")

    data: Data = field(default=Data())
    cls: Cls = field(default=Cls())
    gen: Gen = Gen()
    contrast: Contrast = Contrast()
    sel: Sel = Sel()
    reg: Reg = Reg()
    loss: Loss = Loss()
    warmup: Warmup = field(default=Warmup())
    optim: Optim = Optim()
    infer: Infer = Infer()
    joint: bool = param(True, "C5: the classifier learns on from the snippets of positive segments", source="3.4")

    def __post_init__(self) -> None:
        if not self.gen.anchors or min(self.gen.anchors) < 1 or len(set(self.gen.anchors)) != len(self.gen.anchors):
            raise ValueError(f"gen.anchors: {self.gen.anchors} must be different whole numbers from 1")
        for name, window in (("contrast.window", self.contrast.window), ("infer.window", self.infer.window)):
            if window is not None and window % 2 == 0:
                raise ValueError(f"{name}: {window} must be odd, so that it has a middle")
        if self.contrast.terms not in _TERMS:
            known = " or ".join("[" + ", ".join(terms) + "]" for terms in _TERMS)
            raise ValueError(f"contrast.terms: {list(self.contrast.terms)} must be {known}")
        if self.joint and not self.gen.train:
            raise ValueError("joint: it needs the positive segments of a second phase, but gen.train is false")
        if self.infer.method == "threshold" and self.gen.train:
            raise ValueError("infer.method: threshold leaves the generator without use; set gen.train to false")

    @property
    def batch_size(self) -> int:
        """Videos per step."""
        return self.optim.batch_size

    def sampling(self) -> Sampling:
        """Whole videos."""
        return self.data.as_sampling()

    def phases(self) -> tuple[Phase, ...]:
        """The classifier first, then localisation (without C1 there is none).

        ``num_positives`` has no weight: it is there to be logged.
        """
        if not self.gen.train:
            return (warmup_phase(self.warmup),)
        second = {"contrast": self.loss.w_reg, "num_positives": 0.0} | ({"positive_class": 1.0} if self.joint else {})
        optim = self.optim
        localise = Phase(
            "localise",
            optim.epochs,
            optim.lr,
            second,
            optimizer=optim.optimizer,
            weight_decay=optim.weight_decay,
            momentum=optim.momentum if optim.optimizer == "sgd" else 0.0,
            lr_milestones=tuple(range(optim.lr_step, optim.epochs, optim.lr_step)),
            lr_factor=optim.lr_factor,
            frozen=() if self.joint else ("heads.",),
            grad_clip_norm=optim.grad_clip,
        )
        return (warmup_phase(self.warmup, frozen=("generator.",)), localise)

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        return import_module("trainables.detectors.clean_net.model").CleanNet(
            feat_dim=feat_dim,
            num_classes=num_classes,
            cls=self.cls,
            gen=self.gen,
            contrast=self.contrast,
            sel=self.sel,
            reg=self.reg,
        )
