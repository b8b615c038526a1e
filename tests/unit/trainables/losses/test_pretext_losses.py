"""Losses on clips against loops over frames."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainables.layers.volume.clips import Clips
from trainables.layers.volume.freeze import volume_freeze
from trainables.layers.volume.mixup import volume_mixup
from trainables.layers.volume.placement import Placement
from trainables.losses.pretext import clip_loss, volume_loss


def published() -> Clips:
    """The cross-fade of SSDet's Fig. 3, of two classes."""
    one, two = (Clips.of(torch.zeros(1, 1, 16), torch.eye(2)[k].expand(1, 16, 2)) for k in range(2))
    place = Placement(*(torch.tensor([n]) for n in (12, 12, 4)))
    return volume_mixup(one, two, place, width=16, variant="release")


def test_denominators_on_the_published_clip() -> None:
    logits, clips = torch.zeros(1, 16, 2), published()
    components = volume_loss(logits, clips, kind="soft_ce", norm="components")
    assert float(components) == pytest.approx(0.924196, abs=1e-6)
    assert float(volume_loss(logits, clips, kind="soft_ce")) == pytest.approx(math.log(2), abs=1e-6)


def padded() -> tuple[Tensor, Clips, Tensor, Tensor]:
    """Two mixtures of 5 and 4 frames among 6, and their labels and weights as plain tables."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(2, 6, 3, generator=generator).softmax(2)
    first = Clips.of(torch.zeros(2, 1, 6), labels, torch.tensor([5, 4]))
    second = first.rows(torch.tensor([1, 0]))
    place = Placement(torch.tensor([4, 3]), torch.tensor([4, 4]), torch.tensor([1, 0]))
    mixed = volume_mixup(first, second, place, width=6)
    return torch.randn(2, 6, 3, generator=generator), mixed, mixed.labels, mixed.weights


def test_mixtures_as_a_loop_over_frames() -> None:
    logits, clips, labels, weights = padded()
    frames = {0: 5, 1: 4}
    entropy, binary, parts = 0.0, 0.0, [[0.0, 0.0], [0.0, 0.0]]
    for row, count in frames.items():
        for t in range(count):
            log_p = logits[row, t].log_softmax(0)
            prob = logits[row, t].sigmoid()
            mixed = sum(weights[p, row, t] * labels[p, row, t] for p in range(2))
            entropy -= float((mixed * log_p).sum())
            binary -= float((mixed * prob.log() + (1 - mixed) * (1 - prob).log()).mean())
            for p in range(2):
                parts[p][0] -= float(weights[p, row, t] * (labels[p, row, t] * log_p).sum())
    shown = [4 + 3, 4 + 4]
    assert float(volume_loss(logits, clips, kind="soft_ce")) == pytest.approx(entropy / 9, abs=1e-5)
    assert float(volume_loss(logits, clips, kind="bce")) == pytest.approx(binary / 9, abs=1e-5)
    expected = sum(total / n for (total, _), n in zip(parts, shown, strict=True))
    assert float(volume_loss(logits, clips, kind="soft_ce", norm="components")) == pytest.approx(expected, abs=1e-5)
    logits[0, 5:], logits[1, 4:] = float("nan"), float("nan")
    assert torch.isfinite(volume_loss(logits, clips, kind="bce")), "padding takes no part"
    assert torch.isfinite(volume_loss(logits, clips, kind="soft_ce"))


def test_frozen_frames_count_where_each_class_is_asked_for_by_itself() -> None:
    clips = Clips.of(torch.zeros(1, 1, 4), torch.ones(1, 4, 1))
    frozen = volume_freeze(clips, torch.tensor([1]), torch.tensor([2]))
    logits = torch.tensor([[[3.0], [-3.0], [-3.0], [3.0]]])
    assert float(volume_loss(logits, frozen, kind="bce")) == pytest.approx(math.log1p(math.exp(-3)), abs=1e-6)


def test_fewer_predictions_than_frames_are_resampled() -> None:
    ramp = torch.tensor([[[0.0], [1.0]]])
    clips = Clips.of(torch.zeros(1, 1, 4), torch.tensor([[[0.0], [0.0], [1.0], [1.0]]]))
    assert float(volume_loss(ramp, clips, kind="bce")) == pytest.approx(0.554805, abs=1e-6)


def test_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 16, 3\) do not fit labels \(1, 16, 2\)"):
        volume_loss(torch.zeros(1, 16, 3), published(), kind="bce")


def test_a_clip_is_classified_by_its_mean_logits() -> None:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 0.0], [9.0, -9.0]], [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]])
    valid = torch.tensor([[True, True, False], [True, True, True]])
    labels = torch.tensor([[[0.0, 1.0]] * 3, [[0.0, 1.0]] * 3])
    expected = (math.log1p(math.exp(1.0)) + math.log1p(math.exp(-1.0))) / 2
    assert float(clip_loss(logits, labels, valid)) == pytest.approx(expected, abs=1e-6)
    assert float(clip_loss(logits[:, :2], labels[:, :2] * 0, valid[:, :2])) == 0, (
        "without a class there is nothing to learn"
    )
