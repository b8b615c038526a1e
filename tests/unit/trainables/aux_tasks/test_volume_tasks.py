"""Volume augmentations as tasks: what they are given, what they say, and which hosts they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tadtune.spec.combination import build_configs, misfit
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Parts
from trainables.aux_tasks.volume.config import Pretext, VolumeCutmix, VolumeFreeze, VolumeJoint, VolumeMixup
from trainables.aux_tasks.volume.task import VolumeTask
from trainables.config import Phase
from trainables.data.synthetic.config import Config as Synthetic
from trainables.entrypoints.draws import JointDraws
from trainables.layers.volume.settings import Cutmix, Freeze, Mixup
from trainables.losses.pretext import volume_loss
from trainables.records import Batch, Outputs, SegmentTargets

CLIPS, VIDEOS = (Phase("any", 1, 0.1, {}, split=split) for split in ("trimmed", "train"))


def batch(num: int = 4, lengths: tuple[int, ...] = (8, 8, 8, 8), *, frames: bool = False) -> Batch:
    """Clips of class i mod 3 each, whose features are their frames' numbers."""
    generator = torch.Generator().manual_seed(0)
    valid = torch.arange(8) < torch.tensor(lengths)[:, None]
    pictures = torch.rand(num, 3, 8, 2, 16, generator=generator)
    return Batch(
        video_ids=tuple("abcdefgh"[:num]),
        valid_mask=valid,
        seconds_per_sample=torch.ones(num),
        start_s=torch.zeros(num),
        feats=None if frames else torch.rand(num, 3, 8, generator=generator) * valid[:, None],
        frames=pictures if frames else None,
        video_labels=torch.eye(3)[torch.arange(num) % 3],
        segments=tuple(SegmentTargets(torch.tensor([[0.0, 8.0]]), torch.tensor([0])) for _ in range(num)),
        frame_labels=torch.eye(3)[torch.arange(num) % 3, None] * valid[:, :, None],
    )


class Host:
    """Logits are the features, or a picture's mean colours; it remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[Batch] = []

    def __call__(self, given: Batch) -> Outputs:
        self.seen.append(given)
        read = given.feats if given.feats is not None else given.frames
        assert read is not None
        return Outputs(given.valid_mask, frame_logits=read.reshape(*read.shape[:3], -1).mean(3).transpose(1, 2))


def built(config: Pretext, host: Host) -> VolumeTask:
    torch.manual_seed(0)
    task: VolumeTask = config.build(host=host, feat_channels=0, num_classes=3)
    return task


ALL = [VolumeFreeze, VolumeMixup, VolumeCutmix, VolumeJoint]


@pytest.mark.parametrize("cls", ALL)
def test_pretraining_is_on_augmented_clips_alone(cls: type[Pretext]) -> None:
    host, given = Host(), batch(frames=True)
    task = built(cls(use="pretrain"), host)
    assert (task.takes_part(CLIPS), task.takes_part(VIDEOS)) == (True, False)
    assert task.replaces() == ("clip",)
    mixed = task.transform(given)
    assert given.frames is not None and mixed.frames is not None and mixed.frame_labels is not None
    assert not torch.equal(mixed.frames, given.frames) or cls is VolumeFreeze
    assert mixed.segments is None and mixed.feats is None
    losses = task.losses(host(mixed), mixed)
    assert len(host.seen) == 1
    assert losses.keys() == {cls.key} == cls().loss_weights().keys()
    assert task.loss_counts(Outputs(given.valid_mask), mixed) == {cls.key: pytest.approx(32.0)}
    torch.manual_seed(0)
    again = task.augmented(given)
    assert torch.equal(again.video, mixed.frames), "the global generator decides"
    sums = again.frame_labels.sum(2)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-6), "background is a class"
    assert torch.allclose(again.frame_labels[..., :3], mixed.frame_labels)
    logits = host(mixed).frame_logits
    assert logits is not None
    with_background = torch.cat([logits, torch.zeros(4, 8, 1)], dim=2)
    expected = volume_loss(with_background, again, kind="soft_ce")
    assert float(losses[cls.key]) == pytest.approx(float(expected), abs=1e-6)


def test_clips_have_their_class_in_every_frame() -> None:
    given = batch(lengths=(8, 6, 8, 8))
    assert given.frame_labels is not None
    given.frame_labels[:, 5] = 0
    task = built(VolumeFreeze(use="pretrain", p_apply=0.0), Host())
    assert torch.equal(task.augmented(given).frame_labels.sum(2), given.valid_mask.float())


@pytest.mark.parametrize("cls", ALL)
def test_an_auxiliary_task_takes_a_second_look(cls: type[Pretext]) -> None:
    host, given = Host(), batch(frames=True)
    task = built(cls(), host)
    assert (task.takes_part(CLIPS), task.takes_part(VIDEOS)) == (False, True)
    assert task.replaces() == ()
    assert task.transform(given) is given
    losses = task.losses(host(given), given)
    assert host.seen[0] is given
    mixed = host.seen[1]
    torch.manual_seed(0)
    clips = task.augmented(given)
    assert mixed.frames is not None and torch.equal(mixed.frames, clips.video)
    assert mixed.frame_labels is not None and mixed.frame_labels.shape == (4, 8, 3)
    logits = host(mixed).frame_logits
    assert logits is not None
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, clips.frame_labels)
    assert float(losses[cls.key]) == pytest.approx(float(expected), abs=1e-6)


def test_frozen_frames_have_no_label_where_classes_are_asked_for_by_themselves() -> None:
    task = built(VolumeFreeze(vf=Freeze(m_min=3)), Host())
    clips = task.augmented(batch())
    zero = clips.frame_labels.sum(2) == 0
    assert (zero.sum(1) >= 3).all()
    assert torch.equal(clips.frame_labels.sum(2)[~zero], torch.ones(int((~zero).sum())))


def test_frames_that_the_host_does_not_answer_for_do_not_count() -> None:
    given, host = batch(lengths=(8, 6, 8, 8)), Host()
    task = built(VolumeMixup(), host)
    answered = torch.arange(8).expand(4, 8) < 3

    def half(seen: Batch) -> Outputs:
        outputs = host(seen)
        assert outputs.frame_logits is not None
        spoilt = outputs.frame_logits.masked_fill(~answered[:, :, None], 50.0)
        return replace(outputs, valid_mask=answered, frame_logits=spoilt)

    task._host = (half,)
    loss = task.losses(host(given), given)["volume_mixup"]
    assert float(loss) < 2
    assert task.loss_counts(host(given), given) == {"volume_mixup": pytest.approx(12.0)}


def test_pictures_are_mixed_in_fractions_and_completed_with_their_last_frame() -> None:
    given, host = batch(lengths=(8, 6, 8, 8), frames=True), Host()
    assert given.frames is not None
    given = replace(given, frames=(given.frames * 255).to(torch.uint8))
    task = built(VolumeMixup(use="pretrain"), host)
    mixed = task.transform(given)
    assert mixed.frames is not None and mixed.frames.dtype == torch.float32
    assert (mixed.frames != mixed.frames.round()).any(), "a mixture of 10 and 11 is no whole number"
    short = mixed.valid_mask.sum(1) == 6
    assert 1 <= int(short.sum()) <= 2
    assert torch.equal(mixed.frames[short][:, :, 6:], mixed.frames[short][:, :, 5:6].expand(-1, -1, 2, -1, -1))
    assert mixed.frame_labels is not None and not mixed.frame_labels[~mixed.valid_mask].any()


def test_joint_training_cuts_only_what_has_columns() -> None:
    joint = VolumeJoint()
    assert joint.scheme("feats").kinds == ("vf", "vm")
    assert joint.scheme("frames").kinds == ("vf", "vm", "vc")
    assert joint.scheme("frames").p_apply == 1.0
    assert VolumeJoint(combine="multi").scheme("frames").p_apply == 0.5
    assert VolumeJoint(combine="multi", p_apply=0.3).scheme("frames").p_apply == 0.3
    assert VolumeCutmix(vc=Cutmix(mode="window")).scheme("frames").vc.mode == "window"
    assert VolumeMixup(p_apply=0.5, vm=Mixup(gamma=2.0)).scheme("feats").vm.gamma == 2.0
    with pytest.raises(ValueError, match="needs frames"):
        built(VolumeCutmix(), Host()).augmented(batch())


@pytest.mark.parametrize("use", ["pretrain", "auxiliary"])
def test_inputs_draw_the_same_wherever_they_are(use: Any) -> None:
    """Volume Freeze mixes no inputs: two processes make of their shares what one makes of all."""

    def made(part: slice, rank: int, world_size: int) -> tuple[Tensor, float, float]:
        host, whole = Host(), batch(lengths=(8, 6, 8, 3))
        task = built(VolumeFreeze(use=use), host)
        fields = ("feats", "valid_mask", "frame_labels", "video_labels")
        own = replace(whole, **{name: getattr(whole, name)[part] for name in fields})
        with JointDraws(torch.Generator().manual_seed(5), rank, world_size).of(len(own.valid_mask), 4):
            seen = task.transform(own)
            loss = task.losses(host(seen), seen)["volume_freeze"]
        shown = host.seen[-1].feats
        assert shown is not None
        return shown, float(loss), task.loss_counts(host(seen), seen)["volume_freeze"]

    video, loss, count = made(slice(None), 0, 1)
    shares = [made(slice(rank, None, 2), rank, 2) for rank in range(2)]
    assert all(torch.equal(own, video[rank::2]) for rank, (own, _, _) in enumerate(shares))
    assert sum(n for _, _, n in shares) == pytest.approx(count) == 25
    assert sum(n * own for _, own, n in shares) / count == pytest.approx(loss)


def test_losses_that_do_not_fit_the_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss: soft_ce takes frames with one class each.*use: pretrain"):
        VolumeFreeze(loss="soft_ce")
    with pytest.raises(ValueError, match="norm: components belongs to soft_ce"):
        VolumeMixup(norm="components")
    with pytest.raises(ValueError, match="must be some of vf, vm, vc"):
        VolumeJoint(kinds=())
    assert VolumeFreeze(use="pretrain").kind_of_loss == "soft_ce"
    assert VolumeFreeze(use="pretrain", loss="bce").kind_of_loss == "bce"


@pytest.mark.parametrize(
    ("detector", "task", "reason"),
    [
        ("pdan", "volume_cutmix", "task 'volume_cutmix' works on frames, detector 'pdan' reads feats"),
        ("kt_mgfn", "volume_freeze", "needs frame_logits, which detector 'kt_mgfn' does not offer"),
        ("r_c3d", "volume_mixup", "needs frame_logits, which detector 'r_c3d' does not offer"),
        ("pdan", "volume_freeze", None),
        ("tgm", "volume_joint", None),
    ],
)
def test_hosts_that_lack_what_a_task_needs_are_refused(detector: str, task: str, reason: str | None) -> None:
    found = misfit(detector, (task,), "stitched")
    assert found is None if reason is None else found is not None and reason in found


@pytest.mark.parametrize(
    ("parts", "values", "reason"),
    [
        (("pdan", "volume_freeze"), {}, "tasks.volume_freeze.use: pretrain needs .*set detector.pretrain.epochs above"),
        (("pdan", "volume_freeze"), {"detector.pretrain.epochs": 1}, None),
        (("pdan", "volume_joint"), {"detector.pretrain.epochs": 1, "tasks.volume_joint.kinds": ["vm", "vc"]},
         "tasks.volume_joint.kinds: vc cuts columns of frames, detector 'pdan' reads feats"),
        (("slowfast_det", "volume_mixup"), {}, "'slowfast_det' has no such stage"),
    ],
)  # fmt: skip
def test_pretraining_needs_a_host_with_that_stage(
    parts: tuple[str, str], values: dict[str, Any], reason: str | None
) -> None:
    detector, task = parts
    dataset = "stitched_videos" if detector == "slowfast_det" else "stitched"
    chosen = Parts(trainable="detection", detector=detector, tasks=(task,), dataset=dataset, protocol="frame_map_dense")
    values = {f"tasks.{task}.use": "pretrain", **values}
    if reason is None:
        build_configs(chosen, values)
        return
    with pytest.raises(StudyError, match=reason):
        build_configs(chosen, values)


def test_pretraining_needs_trimmed_clips(tmp_path: Path) -> None:
    data = Synthetic(num_videos=10, num_classes=2, feat_dim=4, trimmed_per_class=0)
    data.prepare(tmp_path)
    VolumeFreeze().check_data(data, tmp_path)
    with pytest.raises(
        ValueError, match="task volume_freeze learns from trimmed clips, .* use: auxiliary does without"
    ):
        VolumeFreeze(use="pretrain").check_data(data, tmp_path)


def test_what_is_missing_is_said() -> None:
    task = built(VolumeFreeze(), Host())
    with pytest.raises(ValueError, match="needs labels, and features or frames"):
        task.augmented(replace(batch(), frame_labels=None))
