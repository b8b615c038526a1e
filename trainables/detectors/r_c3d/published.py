"""Published settings of R-C3D by data set, as a study names them (``preset: charades``). Imports no torch.

Every preset says all that differs between data sets; the rest is everywhere as in
:mod:`trainables.detectors.r_c3d.settings`. Source: Three Birds 4.1 to 4.3 and VisionLearningGroup/R-C3D (experiments,
preprocess); ``*_release`` are the release's own settings where the paper's differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Preset = Mapping[str, Any]

#: Proposals, regions, trunk and inference: alike on frames and on features.
ON_FEATURES: Mapping[str, Preset] = {
    "thumos14": {
        "anchors.preset": "thumos14_paper",
        "rpn.variant": "single",
        "rpn.min_size": 1.0,
        "rpn.nms_train": 0.7,
        "rpn.nms_test": 0.7,
        "roi.bg_lo": 0.0,
        "roi.fg_fraction": 0.25,
        "trunk.layers": 2,
        "trunk.dropout": 0.0,
        "window.keep_ratio": 0.7,
        "infer.score_thresh": 0.05,
        "infer.clip_nms": 0.3,
        "infer.video_nms": None,
    },
    "activitynet": {
        "anchors.preset": "activitynet_paper",
        "rpn.variant": "double",
        "rpn.min_size": 0.0,
        "rpn.nms_train": 0.8,
        "rpn.nms_test": 0.9,
        "roi.bg_lo": 0.1,
        "roi.fg_fraction": 0.5,
        "trunk.layers": 1,
        "trunk.dropout": 0.5,
        "window.keep_ratio": 0.7,
        "infer.score_thresh": 0.005,
        "infer.clip_nms": 0.4,
        "infer.video_nms": 0.99999,
    },
    "charades": {
        "anchors.preset": "charades",
        "rpn.variant": "single",
        "rpn.min_size": 0.0,
        "rpn.nms_train": 0.7,
        "rpn.nms_test": 0.7,
        "roi.bg_lo": 0.0,
        "roi.fg_fraction": 0.25,
        "trunk.layers": 2,
        "trunk.dropout": 0.5,
        "window.keep_ratio": 0.8,
        "infer.score_thresh": 0.0064,
        "infer.clip_nms": 0.3,
        "infer.video_nms": 0.4,
    },
}

#: Frames, windows counted in them, the backbone, and how long and how fast it learns. The shortest segment is 3 frames
#: of the video: 3 samples of THUMOS'14, 3/8 of ActivityNet's, which are every eighth frame.
_OF_VIDEOS: Mapping[str, Preset] = {
    "thumos14": {
        "frames.fps": 25.0,
        "frames.mirror": True,
        "window.length": 768,
        "window.stride_train": 192,
        "window.stride_test": 192,
        "window.min_target": 3.0,
        "backbone.freeze": 0,
        "optim.lr": 1e-4,
        "optim.epochs": 5,
        "optim.lr_decay_epoch": 10,
    },
    "activitynet": {
        "frames.fps": 3.125,
        "frames.mirror": True,
        "window.length": 768,
        "window.stride_train": 192,
        "window.stride_test": 192,
        "window.min_target": 0.375,
        "backbone.freeze": 2,
        "optim.lr": 1e-4,
        "optim.epochs": 15,
        "optim.lr_decay_epoch": 10,
    },
    "charades": {
        "frames.fps": 5.0,
        "frames.mirror": True,
        "window.length": 768,
        "window.stride_train": 192,
        "window.stride_test": 192,
        "window.min_target": 0.0,
        "backbone.freeze": 2,
        "optim.lr": 1e-3,
        "optim.epochs": 15,
        "optim.lr_decay_epoch": 10,
    },
}

_RELEASES: Mapping[str, Preset] = {
    "thumos14": {
        "anchors.preset": "thumos14_release",
        "frames.mirror": False,
        "window.length": 512,
        "window.stride_train": 128,
        "window.stride_test": 128,
        "window.keep_ratio": 1.0,
        "window.min_target": 0.0,
    },
    "activitynet": {"anchors.preset": "activitynet_release"},
    "charades": {"optim.lr": 1e-4, "optim.lr_decay_epoch": 15},
}


def _on_frames() -> dict[str, Preset]:
    papers = {name: {**ON_FEATURES[name], **values} for name, values in _OF_VIDEOS.items()}
    return papers | {f"{name}_release": {**papers[name], **values} for name, values in _RELEASES.items()}


ON_FRAMES: Mapping[str, Preset] = _on_frames()
