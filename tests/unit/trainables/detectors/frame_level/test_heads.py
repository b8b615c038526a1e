"""The heads on features: published sizes, what padding may do (nothing), and how far each of them sees."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tadtune.spec.fields import build_config
from trainables.detectors.pdan.config import Config as Pdan
from trainables.detectors.super_events.config import Config as SuperEvents
from trainables.detectors.tgm.config import Config as Tgm
from trainables.records import Batch, RawOutput

#: Weights of the released filters that have no effect: one a filter, and one a kernel of TGM.
DEAD = {SuperEvents: 6, Tgm: 6 + 48, Pdan: 0}

PUBLISHED = [
    (SuperEvents, {157: (643_404, 321_868, 135_980), 65: (266_388, 133_268, 56_308)}),
    (Tgm, {157: (2_582_764, 1_373_420, 674_268), 65: (2_299_956, 1_184_820, 540_132)}),
    (Pdan, {157: (6_382_749, 5_858_461, 5_555_357), 65: (6_335_553, 5_811_265, 5_508_161)}),
]
SMALL: dict[Any, dict[str, Any]] = {
    SuperEvents: {},
    Tgm: {"layers.channels": 4, "layers.num_kernels": 4, "hidden": 16},
    Pdan: {"width": 16, "blocks": 3},
}


@pytest.mark.parametrize(("cls", "sizes"), PUBLISHED, ids=lambda v: getattr(v, "key", ""))
def test_published_sizes(cls: Any, sizes: dict[int, tuple[int, ...]]) -> None:
    for num_classes, numbers in sizes.items():
        for feat_dim, number in zip((2048, 1024, 432), numbers, strict=True):
            with torch.device("meta"):
                model = cls().build(feat_dim=feat_dim, num_classes=num_classes)
            assert sum(p.numel() for p in model.parameters()) + DEAD[cls] == number


def _model(cls: Any, **settings: Any) -> Any:
    torch.manual_seed(0)
    config = build_config(cls, {**SMALL[cls], **settings}, where="detector")
    return config.build(feat_dim=6, num_classes=3).eval()


def _batch(feats: Tensor, lengths: list[int]) -> Batch:
    num = len(lengths)
    return Batch(
        video_ids=tuple(f"v{i}" for i in range(num)),
        valid_mask=torch.arange(feats.shape[2]) < torch.tensor(lengths)[:, None],
        seconds_per_sample=torch.full((num,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(num, dtype=torch.float64),
        feats=feats,
    )


@pytest.mark.parametrize("cls", SMALL, ids=lambda c: c.key)
def test_padding_changes_nothing(cls: Any) -> None:
    """Also where it is not zero, and whatever the other videos of the batch are."""
    model = _model(cls)
    feats = torch.randn(2, 6, 20)
    with torch.no_grad():
        together = model(_batch(feats, [20, 11])).frame_logits
        alone = model(_batch(feats[1:, :, :11], [11])).frame_logits
    assert torch.allclose(together[1, :11], alone[0], atol=1e-5)
    assert together.shape == (2, 20, 3)


@pytest.mark.parametrize("cls", SMALL, ids=lambda c: c.key)
def test_every_weight_is_learnt(cls: Any) -> None:
    model = _model(cls).train()
    batch = _batch(torch.randn(3, 6, 12), [12, 9, 5])
    labels = (torch.rand(3, 12, 3) < 0.3).float()
    batch = Batch(**{**vars(batch), "frame_labels": labels})
    sum(model.losses(model(batch), batch, ("loc", "cls", "summed")).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("cls", "settings", "reach"),
    [(Pdan, {}, 7), (Pdan, {"blocks": 5}, 31), (Tgm, {}, None), (SuperEvents, {}, None)],
    ids=["pdan of 3 blocks", "pdan", "tgm", "super_events"],
)
def test_how_far_a_frame_sees(cls: Any, settings: dict[str, Any], reach: int | None) -> None:
    """Super-events see the whole video."""
    model = _model(cls, **settings)
    feats = torch.randn(1, 6, 81, requires_grad=True)
    model(_batch(feats, [81])).frame_logits[0, 40].sum().backward()
    assert feats.grad is not None
    seen = torch.nonzero(feats.grad[0].abs().sum(dim=0))[:, 0]
    expected = (0, 80) if reach is None else (40 - reach, 40 + reach)
    assert (int(seen.min()), int(seen.max())) == expected


def test_what_is_missing_is_said() -> None:
    model = _model(Pdan)
    batch = _batch(torch.randn(1, 6, 4), [4])
    with pytest.raises(ValueError, match="reads feats; the batch has none"):
        model(Batch(**{**vars(batch), "feats": None}))
    with pytest.raises(ValueError, match="need frame logits and frame labels"):
        model.losses(model(batch), batch, ("loc",))


@pytest.mark.parametrize(("kind", "weights"), [("summed", {"summed": 1.0}), ("shares", {"loc": 0.75, "cls": 0.25})])
def test_what_is_learnt_is_a_setting(kind: str, weights: dict[str, float]) -> None:
    config = build_config(SuperEvents, {"loss.kind": kind, "loss.cls_share": 0.25}, where="detector")
    (phase,) = config.phases()
    assert phase.loss_weights == weights
    assert phase.lr == 2e-4


def test_frames_are_what_the_losses_are_means_of() -> None:
    model = _model(Pdan)
    batch = _batch(torch.randn(2, 6, 9), [9, 4])
    assert model.loss_counts(model(batch), batch) == {"loc": 13.0, "summed": 13.0}


def test_logits_become_frame_scores() -> None:
    model = _model(Tgm)
    batch = _batch(torch.randn(1, 6, 9), [7])
    with torch.no_grad():
        logits = model(batch).raw["frame_logits"][0]
    found = model.detect([RawOutput("v0", 0.0, 0.5, 7, 4.0, {"frame_logits": logits})], Tgm())
    assert found.scores.tolist() == logits[:7].double().tolist()
    assert found.times_s is not None
    assert found.times_s[:2].tolist() == [0.25, 0.75]
