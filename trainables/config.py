"""How configuration fields are declared. Imports no torch.

Every detector, task and data set owns a frozen dataclass called ``Config``. A field that a paper names is declared
with :func:`param`; what it says there is the only place where ranges live: studies (``auto``), ``tadtune describe``
and validation all read it from the dataclass metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Acts = Literal["training", "inference"]


def param(
    default: Any,
    doc: str,
    *,
    symbol: str | None = None,
    search: tuple[float, float] | None = None,
    choices: tuple[Any, ...] | None = None,
    log: bool = False,
    bounds: tuple[float | None, float | None] | None = None,
    source: str = "ours",
    acts: Acts = "training",
) -> Any:
    """Declare a configuration field together with what a search needs to know about it.

    Args:
        default: the value of the paper, or ours where ``source`` says so.
        doc: one line, with the unit.
        symbol: the paper's symbol.
        search: inclusive range that ``space: auto`` samples. Exclusive with ``choices``.
        choices: values that ``space: auto`` samples (any type a study file can hold).
        log: sample ``search`` on a logarithmic scale.
        bounds: inclusive bounds of validity, None = open; a value outside is refused.
        source: paper and section or equation, repository, or "ours".
        acts: "inference" where a trained model need not be trained again for a new value.
    """
    if search is not None and choices is not None:
        raise ValueError("a field has a search range or choices, not both")
    metadata = {
        "doc": doc,
        "symbol": symbol,
        "search": search,
        "choices": choices,
        "log": log,
        "bounds": bounds,
        "source": source,
        "acts": acts,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Phase:
    """One stretch of training with one optimiser; a detector's recipe is a tuple of these.

    Args:
        name: unique within the recipe, logged.
        epochs: number of passes over the training split.
        lr: initial learning rate.
        loss_weights: name of an unweighted loss -> its weight; a loss the phase does not name is not computed.
        optimizer: "adam", "adamw" (decoupled decay) or "sgd".
        weight_decay: as the optimiser takes it.
        momentum: SGD only.
        lr_milestones: epochs of this phase after which the learning rate is multiplied by ``lr_factor``.
        lr_factor: see above.
        lr_multipliers: parameter-name prefix -> factor on ``lr`` (a backbone's own rate).
        bias_lr_multiplier: further factor on the rate of every bias, tasks included.
        decay_biases: whether ``weight_decay`` acts on biases.
        frozen: parameter-name prefixes that get no gradient in this phase and stay in eval mode.
        grad_clip_norm: L2 norm over all trained parameters, None = off.
        split: what is learnt from: the training videos, or the data set's trimmed clips.
        sampling: how they become inputs, None = as the detector says.
    """

    name: str
    epochs: int
    lr: float
    loss_weights: Mapping[str, float]
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    lr_milestones: tuple[int, ...] = ()
    lr_factor: float = 0.1
    lr_multipliers: Mapping[str, float] = field(default_factory=dict)
    bias_lr_multiplier: float = 1.0
    decay_biases: bool = True
    frozen: tuple[str, ...] = ()
    grad_clip_norm: float | None = None
    split: Literal["train", "trimmed"] = "train"
    sampling: Sampling | None = None


@dataclass(frozen=True)
class FrameInput:
    """What the frames of a detector that reads videos look like; one snippet is then one frame at ``fps``.

    Args:
        fps: frames per second; frames of the video are left out or repeated.
        size: (height, width) that every frame is scaled to, pixels, or the length of the shorter side, which keeps the
            aspect ratio; with ``train_sides`` or ``train_short_sides`` at test alone.
        crop: (height, width) cut out after scaling: of the centre, in training at one random place per input.
        mirror: in training half of the inputs are mirrored left to right, each as a whole.
        train_sides: (least, below) pixels: in training height and width are drawn anew for every input, each from
            least up to, not including, below; None = ``size`` as at test.
        train_short_sides: in training one of these lengths of the shorter side is drawn for every input.
    """

    fps: float
    size: tuple[int, int] | int
    crop: tuple[int, int]
    mirror: bool = False
    train_sides: tuple[int, int] | None = None
    train_short_sides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fps < float("inf"):
            raise ValueError(f"frames.fps: {self.fps} must be a positive number")
        sides = (self.size, self.size) if isinstance(self.size, int) else self.size
        if not all(1 <= crop <= side for crop, side in zip(self.crop, sides, strict=True)):
            raise ValueError(f"frames.crop: {self.crop} must be from 1 pixel to size {self.size}, (height, width)")
        if self.train_sides is not None and not max(self.crop) <= self.train_sides[0] < self.train_sides[1]:
            raise ValueError(
                f"frames.train_sides: {self.train_sides} must be (least, below) with least at least the crop "
                f"{self.crop} and less than below; null takes size in training as well"
            )
        shorter = self.train_short_sides
        if shorter is not None and (not shorter or min(shorter) < max(self.crop) or self.train_sides is not None):
            raise ValueError(
                f"frames.train_short_sides: {shorter} must be one or more lengths from the crop {self.crop} upwards, "
                "without train_sides; null takes size in training as well"
            )


@dataclass(frozen=True)
class Sampling:
    """How a whole video of L snippets becomes one or several inputs of a detector.

    A detector that reads frames counts in frames instead: a snippet is a frame at ``frames.fps``.

    Args:
        train: "sparse" (one random snippet of each of ``length`` equal parts), "uniform" (the centre of each part),
            "rescale" (linear interpolation, end points aligned), "native" (all snippets, padded to the batch's
            longest), "window" (sliding windows of ``length`` snippets), "shot" (clips of up to ``length`` snippets,
            none of them across a change of shot) or "clip" (one run of ``length`` samples, drawn anew each epoch; the
            whole video where it is shorter).
        test: the same for the ``select`` and ``test`` splits; no random ones.
        length: samples T per input; unused by "native".
        window_stride: (train, test) stride of "window" in snippets.
        keep_ratio: an instance that a window or clip cuts stays a target where at least this share of it lies inside
            (0 = any part of it); what is left of it is the target. Source: ActionFormer (arXiv:2202.07925), 0.5.
        min_inside: a training window or clip is used only where at least one instance lies inside by this share (and
            is ``min_target`` long there); 0 = all of them are used. Source: AFSD (arXiv:2103.13137), 1.0: one instance
            wholly inside.
        shot_threshold: change between neighbouring features, in [0, 1], above which a shot of "shot" begins. I3D
            features of 254 workout clips change by 0.39 or less in 99 % of the steps inside a clip, and by 0.40 or
            more in 90 % of the steps from one clip to another.
        both_ways: training windows slide from the beginning, and again from the end backwards; where both meet there
            is one window. Source: R-C3D (arXiv:1703.07814), VisionLearningGroup/R-C3D:preprocess.
        min_target: shortest target that a cut may leave, in samples; shorter ones are none.
        stride: snippets from one sample of "native" and "clip" to the next; a sample covers as many.
        frames: how frames are made for a detector that reads them; None for one that reads features.
    """

    train: Literal["sparse", "uniform", "rescale", "native", "window", "shot", "clip"]
    test: Literal["uniform", "rescale", "native", "window", "shot"]
    length: int
    window_stride: tuple[int, int] | None = None
    keep_ratio: float = 0.0
    min_inside: float = 0.0
    shot_threshold: float = 0.4
    both_ways: bool = False
    min_target: float = 0.0
    stride: int = 1
    frames: FrameInput | None = None


def require_trimmed(what: str, way_out: str, dataset: Any, data_root: Path) -> None:
    """Refuse a data set without trimmed clips.

    Args:
        what: wants them.
        way_out: the setting that does without.
        dataset: configuration of the data set.
        data_root: folder of data sets.

    Raises:
        ValueError: the data set has none.
    """
    if not dataset.has_trimmed(data_root):
        raise ValueError(f"{what} learns from trimmed clips, and data set '{dataset.key}' has none; {way_out}")


def require_checkpoint(key: str, file: str | None, kind: str) -> None:
    """Refuse the path of a checkpoint that is not there; None = random weights.

    Args:
        key: of the setting.
        file: its value.
        kind: of checkpoint, with its article.

    Raises:
        ValueError: no such file.
    """
    if file is not None and not Path(file).is_file():
        raise ValueError(f"{key}: no file {file}; give the path of {kind} checkpoint, or null for random weights")
