"""Published settings: every value of every preset, as papers and release print them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tadtune.spec.fields import build_config, to_plain
from tadtune.spec.parse import parse_study
from trainables.config import FrameInput, Sampling
from trainables.detectors.r_c3d.config import Config as OnFeatures
from trainables.detectors.r_c3d_frames.config import Config as OnFrames
from trainables.records import Batch, SegmentTargets

FIELDS = (
    "frames.fps", "frames.mirror", "window.length", "window.stride_train", "window.keep_ratio", "window.min_target",
    "anchors.preset", "rpn.variant", "rpn.min_size", "rpn.nms_train", "rpn.nms_test", "roi.bg_lo", "roi.fg_fraction",
    "trunk.layers", "trunk.dropout", "backbone.freeze", "optim.lr", "optim.epochs", "optim.lr_decay_epoch",
    "infer.score_thresh", "infer.clip_nms", "infer.video_nms",
)  # fmt: skip
TABLE: dict[str, tuple[Any, ...]] = {
    "thumos14": (
        25, True, 768, 192, 0.7, 3, "thumos14_paper", "single", 1, 0.7, 0.7, 0, 0.25, 2, 0, 0, 1e-4, 5, 10,
        0.05, 0.3, None,
    ),
    "thumos14_release": (
        25, False, 512, 128, 1, 0, "thumos14_release", "single", 1, 0.7, 0.7, 0, 0.25, 2, 0, 0, 1e-4, 5, 10,
        0.05, 0.3, None,
    ),
    "activitynet": (
        3.125, True, 768, 192, 0.7, 3 / 8, "activitynet_paper", "double", 0, 0.8, 0.9, 0.1, 0.5, 1, 0.5, 2, 1e-4,
        15, 10, 0.005, 0.4, 0.99999,
    ),
    "activitynet_release": (
        3.125, True, 768, 192, 0.7, 3 / 8, "activitynet_release", "double", 0, 0.8, 0.9, 0.1, 0.5, 1, 0.5, 2, 1e-4,
        15, 10, 0.005, 0.4, 0.99999,
    ),
    "charades": (
        5, True, 768, 192, 0.8, 0, "charades", "single", 0, 0.7, 0.7, 0, 0.25, 2, 0.5, 2, 1e-3, 15, 10,
        0.0064, 0.3, 0.4,
    ),
    "charades_release": (
        5, True, 768, 192, 0.8, 0, "charades", "single", 0, 0.7, 0.7, 0, 0.25, 2, 0.5, 2, 1e-4, 15, 15,
        0.0064, 0.3, 0.4,
    ),
}  # fmt: skip

#: The same in all of them.
EVERYWHERE = {
    "frames.size": [128, 171], "frames.crop": [112, 112], "window.both_ways": True, "pool_bins": "1x4x4",
    "rpn.width": 512, "rpn.pos_tiou": 0.7, "rpn.neg_tiou": 0.3, "rpn.batch": 64, "rpn.pre_nms_train": 12000,
    "rpn.post_nms_train": 2000, "rpn.pre_nms_test": 6000, "rpn.post_nms_test": 300, "roi.batch": 128,
    "roi.fg_tiou": 0.5, "trunk.width": 4096, "loss.lambda_reg": 1.0, "optim.optimizer": "sgd", "optim.momentum": 0.9,
    "optim.weight_decay": 5e-4, "optim.lr_factor": 0.1, "optim.batch_size": 1, "optim.grad_clip": None,
    "legacy_inclusive": False,
}  # fmt: skip


def built(cls: type, name: str, **changes: Any) -> Any:
    return build_config(cls, {**cls.presets[name], **changes}, where="detector")  # type: ignore[attr-defined]


def test_every_value_of_every_preset_on_frames() -> None:
    assert set(OnFrames.presets) == set(TABLE)
    for name, values in TABLE.items():
        plain = to_plain(built(OnFrames, name))
        assert tuple(plain[path] for path in FIELDS) == values, name
        assert {path: plain[path] for path in EVERYWHERE} == EVERYWHERE, name
        assert plain["window.stride_test"] == plain["window.stride_train"]


def test_the_defaults_on_frames_are_those_of_thumos14() -> None:
    assert built(OnFrames, "thumos14") == OnFrames()


def test_presets_on_features_are_those_on_frames_but_for_frames_and_training() -> None:
    assert set(OnFeatures.presets) == {"thumos14", "activitynet", "charades"}
    for name, values in OnFeatures.presets.items():
        assert values.items() <= OnFrames.presets[name].items()
        left_out = OnFrames.presets[name].keys() - values.keys()
        sections = {path.split(".")[0] for path in left_out}
        assert sections == {"frames", "backbone", "optim", "window"}
        assert "window.keep_ratio" in values


@pytest.mark.parametrize(
    ("name", "fps", "keep", "least"),
    [("thumos14", 25, 0.7, 3), ("activitynet", 3.125, 0.7, 0.375), ("charades", 5, 0.8, 0)],
)
def test_windows_of_the_presets(name: str, fps: float, keep: float, least: float) -> None:
    frames = FrameInput(fps, (128, 171), (112, 112), mirror=True)
    assert built(OnFrames, name).sampling() == Sampling(
        "window", "window", 768, (192, 192), keep_ratio=keep, min_inside=keep, both_ways=True, min_target=least,
        frames=frames,
    )  # fmt: skip
    (phase,) = built(OnFrames, name).phases()
    rates = [phase.lr * phase.lr_factor ** sum(e >= m for m in phase.lr_milestones) for e in range(phase.epochs)]
    expected = {"thumos14": [1e-4] * 5, "activitynet": [1e-4] * 10 + [1e-5] * 5, "charades": [1e-3] * 10 + [1e-4] * 5}
    assert rates == pytest.approx(expected[name])
    assert len(phase.frozen) == (0 if name == "thumos14" else 2)


@pytest.mark.parametrize("name", ["thumos14", "activitynet", "charades"])
@pytest.mark.parametrize("cls", [OnFeatures, OnFrames], ids=["features", "frames"])
def test_a_network_of_each_preset_learns(cls: type, name: str) -> None:
    """Narrow, on a clip of 64 cells."""
    torch.manual_seed(0)
    config = built(cls, name, **{"trunk.width": 8, "rpn.width": 8})
    frames = cls is OnFrames
    data = Batch(
        video_ids=("a",),
        valid_mask=torch.ones(1, 64, dtype=torch.bool),
        seconds_per_sample=torch.full((1,), 0.04).double(),
        start_s=torch.zeros(1).double(),
        feats=None if frames else torch.randn(1, 6, 64),
        frames=torch.randint(0, 256, (1, 3, 64, 16, 16), dtype=torch.uint8) if frames else None,
        segments=(SegmentTargets(torch.tensor([[4.0, 22.0], [30.0, 61.0]]), torch.tensor([1, 0])),),
    )
    model = config.build(feat_dim=6, num_classes=2).train()
    (phase,) = config.phases()
    losses = model.losses(model(data), data, tuple(phase.loss_weights))
    torch.stack([phase.loss_weights[n] * value for n, value in losses.items()]).sum().backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(("detector", "dataset"), [("r_c3d", "stitched"), ("r_c3d_frames", "stitched_videos")])
def test_a_study_takes_a_preset_by_name(detector: str, dataset: str) -> None:
    raw = {
        "study": "x",
        "kind": "ablation",
        "detector": detector,
        "dataset": dataset,
        "preset": "charades",
        "rows": {"a": {}},
    }
    study = parse_study(raw)
    assert study.ablation is not None
    values = study.ablation.rows[0].values
    assert values["detector.anchors.preset"] == "charades"
    assert values["detector.infer.score_thresh"] == 0.0064
