"""Which network, frames and snippets a published feature extractor has, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from trainables.backbones import preprocess
from trainables.backbones.base import Backbone
from trainables.backbones.bn_inception import BNInception
from trainables.backbones.c3d import C3D
from trainables.backbones.i3d import I3D
from trainables.backbones.layouts import (
    BN_INCEPTION_LAYOUTS,
    C3D_LAYOUTS,
    I3D_LAYOUTS,
    X3D_LAYOUTS,
    normalises_res2,
)
from trainables.backbones.preprocess import Preprocess
from trainables.backbones.weights import Checkpoint, Layout
from trainables.backbones.x3d import X3D

#: Flow fields that TSN stacks into one input (yjxiong/tsn-pytorch:models.py, ``new_length``).
_FLOW_STACK = 5

#: Classes of UCF-101, on which UntrimmedNet's THUMOS'14 networks were trained; for networks without a checkpoint.
_UCF_CLASSES = 101


@dataclass(frozen=True)
class Stream:
    """One network of an extractor.

    Attributes:
        input: "rgb", or "flow" (quantised TV-L1).
        build: makes the network that fits a checkpoint, or the default one.
        layouts: those its checkpoints come in.
        preprocess: of frames or flow images.
        endpoint: whose output, averaged over time and space, is the feature.
        stack: images around the middle of a snippet that make one input of a two-dimensional network; None = the
            whole snippet is the input.
    """

    input: Literal["rgb", "flow"]
    build: Callable[[Checkpoint | None], Backbone]
    layouts: tuple[Layout, ...]
    preprocess: Preprocess
    endpoint: str
    stack: int | None = None


@dataclass(frozen=True)
class Preset:
    """An extractor: its streams' features are joined in this order.

    Attributes:
        streams: RGB first.
        snippet_len_frames: length of a snippet.
        snippet_stride_frames: distance of two snippets.
        fps: at which frames are taken, None = the video's own rate.
        every_frame: every output of the network in time is a feature, not their mean; then a snippet is as much of a
            video as the network sees at once, cut at its end, and the next one begins where it ends.
    """

    streams: tuple[Stream, ...]
    snippet_len_frames: int
    snippet_stride_frames: int
    fps: float | None = None
    every_frame: bool = False


def _c3d(_: Checkpoint | None) -> Backbone:
    return C3D(fc=True)


def _i3d_rgb(_: Checkpoint | None) -> Backbone:
    return I3D()


def _i3d_flow(_: Checkpoint | None) -> Backbone:
    return I3D(in_channels=2)


def _x3d(depth: float) -> Callable[[Checkpoint | None], Backbone]:
    def build(checkpoint: Checkpoint | None) -> Backbone:
        return X3D(depth=depth, res2_shortcut_bn=checkpoint is None or normalises_res2(checkpoint))

    return build


def _bn_inception(in_channels: int, *, scores: bool) -> Callable[[Checkpoint | None], Backbone]:
    def build(checkpoint: Checkpoint | None) -> Backbone:
        return BNInception(in_channels=in_channels, num_classes=_num_classes(checkpoint) if scores else None)

    return build


def _num_classes(checkpoint: Checkpoint | None) -> int:
    if checkpoint is None:
        return _UCF_CLASSES
    for key, tensor in checkpoint.state.items():
        if checkpoint.layout.rename(key) == "fc.weight":
            return len(tensor)
    raise ValueError(f"{checkpoint.path}: holds no classifier, whose scores are the features asked for")


def _i3d_streams(rgb: Preprocess, flow: Preprocess) -> tuple[Stream, Stream]:
    return (
        Stream("rgb", _i3d_rgb, I3D_LAYOUTS, rgb, "Mixed_5c"),
        Stream("flow", _i3d_flow, I3D_LAYOUTS, flow, "Mixed_5c"),
    )


def _tsn_streams(endpoint: str) -> tuple[Stream, Stream]:
    scores = endpoint == "fc"
    spatial = _bn_inception(3, scores=scores)
    temporal = _bn_inception(2 * _FLOW_STACK, scores=scores)
    return (
        Stream("rgb", spatial, BN_INCEPTION_LAYOUTS, preprocess.TSN_RGB, endpoint, 1),
        Stream("flow", temporal, BN_INCEPTION_LAYOUTS, preprocess.TSN_FLOW, endpoint, _FLOW_STACK),
    )


def _x3d_preset(depth: float, frames: Preprocess, length: int, rate: int) -> Preset:
    # the networks were trained on every rate-th frame of 30 fps videos
    return Preset((Stream("rgb", _x3d(depth), X3D_LAYOUTS, frames, "fc1"),), length, length, 30 / rate)


_I3D = _i3d_streams(preprocess.I3D_RGB, preprocess.I3D_FLOW)
_TSN = _tsn_streams("global_pool")

#: c3d: fc6 of 16 frames. i3d: two streams of 16 frames, 2048 channels; afsd_i3d the same at AFSD's image size and rate.
#: x3d: facebookresearch/SlowFast:configs/Kinetics/X3D_{S,M,L}.yaml (length, sampling rate). x3d_charades: a feature for
#: every tenth frame of Charades, from whole videos, as kkahatapitiya/SSDet:train_x3d_charades_loc.py scores them. tsn:
#: snippets of 15 frames as UntrimmedNet's, 1024 channels a stream; tsn_scores: its class scores, KT-MGFN III-B.
PRESETS = {
    "c3d": Preset((Stream("rgb", _c3d, C3D_LAYOUTS, preprocess.C3D_RGB, "fc6"),), 16, 16),
    "i3d_rgb": Preset(_I3D[:1], 16, 16),
    "i3d_flow": Preset(_I3D[1:], 16, 16),
    "i3d": Preset(_I3D, 16, 16),
    "afsd_i3d": Preset(_i3d_streams(preprocess.AFSD_RGB, preprocess.AFSD_FLOW), 16, 16, 10.0),
    "x3d_s": _x3d_preset(2.2, preprocess.X3D_S_RGB, 13, 6),
    "x3d_m": _x3d_preset(2.2, preprocess.X3D_M_RGB, 16, 5),
    "x3d_l": _x3d_preset(5.0, preprocess.X3D_L_RGB, 16, 5),
    "x3d_charades": Preset(
        (Stream("rgb", _x3d(2.2), X3D_LAYOUTS, preprocess.X3D_CHARADES_RGB, "fc1"),), 1000, 1, 2.4, every_frame=True
    ),
    "tsn_rgb": Preset(_TSN[:1], 15, 15),
    "tsn_flow": Preset(_TSN[1:], 15, 15),
    "tsn": Preset(_TSN, 15, 15),
    "tsn_scores": Preset(_tsn_streams("fc"), 15, 15),
}
