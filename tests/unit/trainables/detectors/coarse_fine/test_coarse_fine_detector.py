"""The detector `coarse_fine`: clips in training, whole videos at test, the frozen fine stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.detectors.coarse_fine.config import Coarse, Config, Fine
from trainables.detectors.coarse_fine.model import CoarseFineDetector, random_starts
from trainables.detectors.x3d.settings import Backbone
from trainables.records import Batch

SMALL = Backbone(width=1.0, depth=1.0, fc1=16)
CONFIG = Config(backbone=SMALL, clip_length=6, fine=Fine(length=12), dropout=0.0)


def build(config: Config = CONFIG) -> CoarseFineDetector:
    torch.manual_seed(0)
    built = config.build(feat_dim=3, num_classes=3)
    assert isinstance(built, CoarseFineDetector)
    return built


def clips(*valid: int, length: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        video_ids=tuple("abcdef"[: len(valid)]),
        valid_mask=torch.arange(length) < torch.tensor(valid)[:, None],
        seconds_per_sample=torch.full((len(valid),), 0.4, dtype=torch.float64),
        start_s=torch.zeros(len(valid), dtype=torch.float64),
        frames=torch.randint(0, 256, (len(valid), 3, length, 32, 32), generator=generator).to(torch.uint8),
        frame_labels=torch.randint(0, 2, (len(valid), length, 3), generator=generator).float(),
    )


def training(detector: CoarseFineDetector) -> CoarseFineDetector:
    """As a phase with a frozen fine stream has it."""
    detector.train()
    detector.network.inner.fine.eval().requires_grad_(False)
    return detector


def test_training_answers_for_a_random_run_of_every_input() -> None:
    detector, data = training(build()), clips(12, 9, 4)
    for seed in range(2):
        torch.manual_seed(seed)
        wanted = random_starts(data.valid_mask, 6).tolist()
        torch.manual_seed(seed)
        outputs = detector(data)
        logits = outputs.frame_logits
        assert logits is not None
        assert (logits[~outputs.valid_mask & data.valid_mask] == 0).all()
        for row, (mask, valid) in enumerate(zip(outputs.valid_mask, (12, 9, 4), strict=True)):
            shown = mask.nonzero().flatten().tolist()
            assert shown == list(range(wanted[row], wanted[row] + min(6, valid)))
            assert (logits[row, shown] != 0).all()


def test_runs_begin_wherever_they_fit() -> None:
    mask = clips(12, 9, 4).valid_mask
    torch.manual_seed(0)
    drawn = torch.stack([random_starts(mask, 6) for _ in range(200)])
    assert [set(column.tolist()) for column in drawn.T] == [set(range(7)), set(range(4)), {0}]


def test_only_the_clip_is_learnt_from() -> None:
    detector, data = training(build()), clips(12, 12)
    labels = data.frame_labels
    assert labels is not None
    torch.manual_seed(3)
    outputs = detector(data)
    plain = detector.losses(outputs, data, ("loc", "cls"))
    turned = replace(data, frame_labels=torch.where(outputs.valid_mask[..., None], labels, 1 - labels))
    for name, value in detector.losses(outputs, turned, ("loc", "cls")).items():
        assert torch.equal(value, plain[name]), name
    inside, own = outputs.frame_logits[outputs.valid_mask], labels[outputs.valid_mask]  # type: ignore[index]
    torch.testing.assert_close(
        plain["loc"], torch.nn.functional.binary_cross_entropy_with_logits(inside, own), rtol=1e-5, atol=0
    )
    assert detector.loss_counts(outputs, data) == {"loc": 12.0, "summed": 12.0}


def test_the_coarse_stream_and_the_fusion_learn_from_a_frozen_fine_stream() -> None:
    detector, data = training(build()), clips(12, 12)
    before = {n: b.clone() for n, b in detector.network.inner.fine.named_buffers()}
    torch.stack(list(detector.losses(detector(data), data, ("loc", "cls")).values())).sum().backward()
    idle = {n for n, p in detector.named_parameters() if p.grad is None or not p.grad.any()}
    assert idle == {n for n, _ in detector.named_parameters() if n.startswith("network.inner.fine.")}
    assert all(torch.equal(before[n], b) for n, b in detector.network.inner.fine.named_buffers())


def test_at_test_a_video_is_scored_as_if_it_were_alone_in_parts_of_what_the_fine_stream_sees() -> None:
    detector, data = build().eval(), clips(20, 5, length=20)
    assert data.frames is not None
    seen: list[tuple[int, int]] = []
    inner = detector.network.inner
    hook = inner.register_forward_hook(lambda _, inputs, __: seen.append((inputs[0].shape[2], inputs[2].shape[1])))
    with torch.no_grad():
        whole = detector(data)
        assert seen == [(12, 12), (8, 8), (5, 5)]
        hook.remove()
        assert torch.equal(whole.valid_mask, data.valid_mask)
        part = data.frames[1:, :, :5]
        normal = detector.network.normalised(part)
        alone: Tensor = inner(normal, inner.fine_maps(normal), torch.ones(1, 5, dtype=torch.bool), torch.zeros(1))
    assert whole.frame_logits is not None
    torch.testing.assert_close(whole.frame_logits[1:, :5], alone.transpose(1, 2))


def test_the_recipe() -> None:
    (phase,) = Config().phases()
    assert phase.frozen == ("network.inner.fine.",)
    assert phase.lr_multipliers == {
        "network.inner.coarse.": 1.0,
        "network.inner.fusion.": 10.0,
        "network.inner.logit_fusion.": 10.0,
    }
    assert (phase.lr, phase.lr_milestones, Config().batch_size) == (0.02, (30, 50, 70), 6)
    sampling = Config().sampling()
    assert (sampling.train, sampling.test, sampling.length, sampling.stride) == ("clip", "native", 128, 10)
    (joint,) = Config(fine=Fine(lr_mult=0.5)).phases()
    assert joint.frozen == ()
    assert joint.lr_multipliers["network.inner.fine."] == 0.5


@pytest.mark.parametrize(("alpha", "steps"), [(1 / 2, 6), (1 / 4, 3), (1 / 8, 2)])
def test_the_share_of_grid_steps(alpha: float, steps: int) -> None:
    detector = build(replace(CONFIG, coarse=Coarse(alpha=alpha))).eval()
    points: list[int] = []
    detector.network.inner.grid_pool.register_forward_hook(lambda *a: points.append(a[2][1].shape[1]))
    with torch.no_grad():
        detector(clips(12))
    assert points == [steps + 1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Config(clip_length=129), r"clip_length: 129 must not be above fine\.length 128"),
        (lambda: Coarse(alpha=0.3), r"coarse\.alpha: 0\.3 must be 1/2, 1/4, 1/8"),
        (lambda: Coarse(alpha=1.0), r"coarse\.alpha: 1\.0 must be"),
        (lambda: Config(fine=Fine("/no/such")).check_data(None, None), r"fine\.weights: no file /no/such"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
