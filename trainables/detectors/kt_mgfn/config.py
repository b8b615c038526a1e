"""Configuration of KT-MGFN: the paper's values as defaults. Imports no torch.

Source: Su et al., "Transferable Knowledge-Based Multi-Granularity Fusion Network for Weakly Supervised Temporal Action
Detection", IEEE TMM, doi:10.1109/TMM.2020.2999184, where a field says nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from trainables.config import Phase, Sampling, param, require_trimmed

_SCORE_TERMS = (
    ("act",), ("class",), ("oic",), ("act", "class"), ("act", "oic"), ("class", "oic"), ("act", "class", "oic"),
)  # fmt: skip
_DILATIONS = ((1,), (1, 2), (1, 3), (1, 2, 3), (1, 2, 3, 5), (1, 3, 6, 9))


@dataclass(frozen=True)
class Data:
    """From a video to T samples."""

    length: int = param(
        512,
        "samples per video",
        symbol="T",
        choices=(256, 400, 512, 750, 1024),
        bounds=(4, None),
        source="ours (THUMOS)",
    )
    train_sampling: Literal["sparse", "uniform", "rescale", "native"] = param(
        "sparse", "how training videos are sampled", source="III-E"
    )
    test_sampling: Literal["uniform", "rescale", "native"] = param(
        "uniform", "how select and test videos are sampled", source="III-F"
    )


@dataclass(frozen=True)
class Base:
    """The two convolutions before the branches."""

    layers: int = param(2, "convolutions", bounds=(1, 8), source="III-C")
    width: int = param(512, "channels", choices=(64, 128, 256, 512), bounds=(1, None), source="ours (BSN's width)")
    kernel: int = param(3, "size, odd", bounds=(1, 15), source="ours (BSN)")
    dropout: float = param(0.5, "on the input features", search=(0.0, 0.8), bounds=(0.0, 0.95), source="ours")


@dataclass(frozen=True)
class Mdcm:
    """Multi-dilated convolution module."""

    dilations: tuple[int, ...] = param(
        (1, 2, 3, 5),
        "rate of each branch; (1,) switches the module off",
        symbol="d",
        choices=_DILATIONS,
        source="III-C",
    )
    per_branch_head: bool = param(
        True, "each branch has a classifier of its own, or all share one", source="ours; III-C does not say"
    )


@dataclass(frozen=True)
class Ccm:
    """Cascaded classification with online adversarial erasing."""

    stages: int = param(2, "classifiers; 1 switches erasing off", choices=(1, 2, 3), bounds=(1, 5), source="Table VI")
    xi_era: float = param(
        0.8,
        "erase where the CAS reaches this",
        symbol="xi_era",
        search=(0.5, 0.95),
        bounds=(0.0, 1.0),
        source="IV, Fig. 6",
    )
    test_class_prob: float = param(0.1, "classes whose evidence is erased at test", bounds=(0.0, 1.0), source="ours")


@dataclass(frozen=True)
class Ktm:
    """Knowledge transfer module: features of untrimmed videos follow those of trimmed clips."""

    enabled: bool = param(
        True, "learn from trimmed clips of the same classes first; the data set must have them", source="III-D"
    )
    epochs: int = param(30, "on the trimmed clips, before everything else", bounds=(1, None), source="ours: converges")
    length: int = param(32, "samples per clip", bounds=(4, None), source="ours")
    n_trimmed: int = param(
        8, "clips drawn per class and step", symbol="N_T", search=(2, 32), log=True, bounds=(1, None), source="ours"
    )
    kernel: Literal["multi5", "single"] = param(
        "multi5", "five Gaussian kernels around the mean distance, or one", symbol="kappa",
        choices=("multi5", "single"), source="Eq. (3); jindongwang/transferlearning:code/distance/mmd_pytorch.py",
    )  # fmt: skip
    scope: Literal["class", "batch"] = param(
        "class", "clips against videos of the same class, or of the whole batch", source="III-D"
    )
    init_from_trimmed: bool = param(True, "the classifier starts from what it learnt on the clips", source="ours")

    def sampling(self) -> Sampling:
        """How clips become inputs."""
        return Sampling("sparse", "uniform", self.length)


@dataclass(frozen=True)
class Brm:
    """Boundary regression module."""

    enabled: bool = param(True, "regress boundaries; otherwise the CAS is thresholded", source="III-E")
    width: int = param(128, "channels", bounds=(1, None), source="III-E")
    batch_norm: bool = param(
        False,
        "batch normalisation after each convolution",
        source="III-E has none; zhengshou/AutoLoc:exp/TH14/train.tpl",
    )
    anchors: tuple[int, ...] = param((1, 2, 4, 8, 16, 32), "anchor lengths, samples", source="IV-A, THUMOS'14")
    gamma: float = param(
        0.25, "rim of a segment as a share of its length", symbol="gamma", search=(0.1, 0.75), bounds=(0.0, 4.0),
        source="zhengshou/AutoLoc:lib/config.py OUTER_INFLATE_RATIO",
    )  # fmt: skip
    outer_min: float = param(
        1.0,
        "least rim on each side, samples",
        search=(0.0, 2.0),
        bounds=(0.0, None),
        source="zhengshou/AutoLoc OUTER_MIN",
    )
    oic_mode: Literal["continuous", "discrete"] = param(
        "continuous", "ends between samples, or on whole samples with the gradient AutoLoc writes by hand",
        source="Eq. (2); discrete: zhengshou/AutoLoc:lib/layers/oic_loss.py",
    )  # fmt: skip
    cas_thr: float = param(
        0.1, "anchors only where the CAS reaches this", search=(0.01, 0.5), bounds=(0.0, 1.0), source="III-E"
    )
    oic_keep: float = param(
        -0.3, "segments train the regressor below this OIC loss", search=(-0.7, 0.4), bounds=(-1.0, 1.0), source="III-E"
    )
    train_nms: Literal["hard", "soft_weight", "none"] = param(
        "hard", "overlapping training segments: removed, weighted by their decay, or kept",
        choices=("hard", "soft_weight", "none"), source="zhengshou/AutoLoc",
    )  # fmt: skip
    reduction: Literal["sum", "mean"] = param(
        "sum", "OIC terms of a video", choices=("sum", "mean"), source="III-E; mean: zhengshou/AutoLoc"
    )
    grad_to_cas: bool = param(True, "the OIC loss also trains the classifier", source="Table VII, read so")
    length_prior: Literal["none", "class_gaussian"] = param(
        "none", "class_gaussian: the anchor of a position is chosen also by how usual its length is among the class's "
        "annotated training segments; such a run reads boundaries and is not weakly supervised",
        source="III-E has none; zhengshou/AutoLoc:lib/utils/ops.py compute_frame_prior",
    )  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """Weights of the losses."""

    class_weight: float = param(1.0, "of the classification loss", search=(0.1, 10.0), log=True, bounds=(0.0, None))
    alpha: float = param(
        10.0,
        "of the OIC loss",
        symbol="alpha",
        search=(0.1, 50.0),
        log=True,
        bounds=(0.0, None),
        source="Eq. (4), IV-A",
    )
    beta: float = param(
        10.0,
        "of the knowledge transfer loss",
        symbol="beta",
        search=(0.1, 50.0),
        log=True,
        bounds=(0.0, None),
        source="Eq. (4), IV-A",
    )
    branch_reduction: Literal["sum", "mean"] = param(
        "mean", "classification loss over branches; mean keeps its weight when branches are switched", source="ours"
    )


@dataclass(frozen=True)
class Optim:
    """Adam in two phases."""

    lr1: float = param(1e-3, "phase 1", search=(1e-4, 3e-3), log=True, bounds=(0.0, None), source="IV-A")
    lr2: float = param(1e-4, "phase 2", search=(1e-5, 1e-3), log=True, bounds=(0.0, None), source="IV-A")
    epochs1: int = param(30, "phase 1: classifiers only", bounds=(0, None), source="IV-A")
    epochs2: int = param(70, "phase 2: everything", bounds=(0, None), source="IV-A")
    batch_size: int = param(16, "videos", bounds=(1, None), source="IV-A")
    l2_lambda: float = param(
        1e-4, "factor of the squared norm of the weights; its gradient is twice that", symbol="lambda",
        search=(1e-6, 1e-2), log=True, bounds=(0.0, None), source="Eq. (4), IV-A",
    )  # fmt: skip
    grad_clip: float = param(5.0, "L2 norm over all gradients", bounds=(1e-6, None), source="ours")


@dataclass(frozen=True)
class Train:
    """End to end or stage by stage."""

    mode: Literal["end2end", "stagewise"] = param(
        "end2end", "phase 2 trains everything, or the boundary regression alone", source="Table VII"
    )


@dataclass(frozen=True)
class Post:
    """From raw outputs to detections; nothing here needs training again."""

    score_terms: tuple[str, ...] = param(
        ("act", "class", "oic"), "factors of the confidence",
        choices=_SCORE_TERMS,
        source="Eq. (6), Table VIII", acts="inference",
    )  # fmt: skip
    theta_nms: float = param(
        0.5, "Soft-NMS acts from this tIoU", symbol="theta_NMS", search=(0.2, 0.8), bounds=(0.0, 1.0),
        source="Eq. (7), IV-A, THUMOS'14", acts="inference",
    )  # fmt: skip
    epsilon: float = param(
        0.75, "width of the Soft-NMS decay", symbol="epsilon", search=(0.1, 2.0), log=True, bounds=(1e-6, None),
        source="Eq. (7), IV-A", acts="inference",
    )  # fmt: skip
    cas_thr: float | None = param(
        None,
        "brm.cas_thr at test; null = the same",
        search=(0.01, 0.5),
        bounds=(0.0, 1.0),
        source="III-F",
        acts="inference",
    )
    oic_keep: float | None = param(
        None,
        "brm.oic_keep at test; null = the same",
        search=(-0.7, 0.4),
        bounds=(-1.0, 1.0),
        source="III-F",
        acts="inference",
    )
    gamma: float | None = param(
        None,
        "brm.gamma at test; null = the same",
        search=(0.1, 0.75),
        bounds=(0.0, 4.0),
        source="III-F",
        acts="inference",
    )
    oic_mode: Literal["continuous", "discrete"] | None = param(
        None, "brm.oic_mode at test; null = the same",
        source="Eq. (2); discrete: zhengshou/AutoLoc:lib/layers/oic_loss.py", acts="inference",
    )  # fmt: skip
    tau_cas: float = param(
        0.5, "without boundary regression: runs of the CAS above this", search=(0.1, 0.8), bounds=(0.0, 1.0),
        source="wanglimin/UntrimmedNet:matlab/thumos_detection.m", acts="inference",
    )  # fmt: skip
    test_cls_thr: float = param(
        0.0,
        "least class probability",
        search=(0.0, 0.3),
        bounds=(0.0, 1.0),
        source="III-F: all classes",
        acts="inference",
    )
    top: int = param(200, "detections per video", bounds=(1, None), source="ours", acts="inference")


@dataclass(frozen=True)
class Config:
    """KT-MGFN; without knowledge transfer it is the paper's MGFN."""

    key: ClassVar[str] = "kt_mgfn"
    paper: ClassVar[str] = "kt_mgfn"
    supervision: ClassVar[Literal["none", "video_labels", "segments"]] = "video_labels"
    inputs: ClassVar[str] = "feats"
    views: ClassVar[tuple[str, ...]] = ("feats", "cas_logits", "video_logits", "segments")

    data: Data = Data()
    base: Base = Base()
    mdcm: Mdcm = Mdcm()
    ccm: Ccm = Ccm()
    ktm: Ktm = Ktm()
    brm: Brm = Brm()
    loss: Loss = Loss()
    optim: Optim = Optim()
    train: Train = Train()
    post: Post = Post()
    cas_norm: Literal["minmax", "sigmoid", "relu_max", "none"] = param(
        "minmax", "how the CAS comes to [0, 1]; none = it stays unbounded, and every threshold acts on its own scale",
        choices=("minmax", "sigmoid", "relu_max"), source="ours (xiaomengyc/ACoL:models/vgg/vgg_v1.py)",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.base.kernel % 2 == 0:
            raise ValueError(f"base.kernel: {self.base.kernel} must be odd, or the sequence changes its length")
        for name, values in (("mdcm.dilations", self.mdcm.dilations), ("brm.anchors", self.brm.anchors)):
            if not values or min(values) < 1 or len(set(values)) != len(values):
                raise ValueError(f"{name}: {values} must be different whole numbers from 1")
        unknown = set(self.post.score_terms) - {"act", "class", "oic"}
        if unknown or not self.post.score_terms:
            raise ValueError(f"post.score_terms: {self.post.score_terms} must be some of act, class, oic")
        if self.train.mode == "stagewise" and not self.brm.enabled:
            raise ValueError("train.mode: stagewise trains only the boundary regression, but brm.enabled is false")
        if self.brm.length_prior != "none":
            if not self.brm.enabled:
                raise ValueError("brm.length_prior: it chooses among regressed anchors, but brm.enabled is false")
            # this run is handed the training boundaries, which the detector as such is not
            object.__setattr__(self, "supervision", "segments")

    def check_data(self, dataset: Any, data_root: Path) -> None:
        """Knowledge transfer needs trimmed clips.

        Raises:
            ValueError: the data set has none.
        """
        if self.ktm.enabled:
            require_trimmed("kt_mgfn", "set detector.ktm.enabled: false, or build it with clips", dataset, data_root)

    @property
    def batch_size(self) -> int:
        """Videos per step."""
        return self.optim.batch_size

    def sampling(self) -> Sampling:
        """III-E and III-F."""
        return Sampling(self.data.train_sampling, self.data.test_sampling, self.data.length)

    def phases(self) -> tuple[Phase, ...]:
        """IV-A: trimmed clips, then the classifiers, then everything (or the regression alone, stage-wise)."""
        class_only = {"class": self.loss.class_weight}
        first = class_only | ({"kt": self.loss.beta} if self.ktm.enabled else {})
        second = first | ({"oic": self.loss.alpha} if self.brm.enabled else {})
        frozen: tuple[str, ...] = ()
        if self.train.mode == "stagewise":
            second, frozen = {"oic": self.loss.alpha}, ("stages.",)
        shared: dict[str, Any] = {
            "weight_decay": 2 * self.optim.l2_lambda, "grad_clip_norm": self.optim.grad_clip,
        }  # fmt: skip
        no_regression = ("regressor.",) if self.brm.enabled else ()
        trimmed = Phase(
            "trimmed", self.ktm.epochs, self.optim.lr1, class_only,
            frozen=no_regression, split="trimmed", sampling=self.ktm.sampling(), **shared,
        )  # fmt: skip
        last = "joint" if self.train.mode == "end2end" else "regress"
        return (
            *([trimmed] if self.ktm.enabled else []),
            Phase("classify", self.optim.epochs1, self.optim.lr1, first, frozen=no_regression, **shared),
            Phase(last, self.optim.epochs2, self.optim.lr2, second, frozen=frozen, **shared),
        )

    def build(self, *, feat_dim: int, num_classes: int) -> Any:
        """The module."""
        return import_module("trainables.detectors.kt_mgfn.model").KtMgfn(
            feat_dim=feat_dim,
            num_classes=num_classes,
            width=self.base.width,
            layers=self.base.layers,
            kernel=self.base.kernel,
            dropout=self.base.dropout,
            dilations=self.mdcm.dilations,
            per_branch_head=self.mdcm.per_branch_head,
            num_stages=self.ccm.stages,
            xi_era=self.ccm.xi_era,
            test_class_prob=self.ccm.test_class_prob,
            cas_norm=self.cas_norm,
            branch_reduction=self.loss.branch_reduction,
            regression=self.brm if self.brm.enabled else None,
            transfer=self.ktm if self.ktm.enabled else None,
            theta_nms=self.post.theta_nms,
            epsilon=self.post.epsilon,
        )
