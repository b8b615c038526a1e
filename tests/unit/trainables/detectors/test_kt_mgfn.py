"""The network and its inference, on small random batches."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from trainables.detectors.kt_mgfn.config import Base, Brm, Ccm, Config, Data, Ktm, Mdcm, Post, Train
from trainables.detectors.kt_mgfn.model import KtMgfn
from trainables.detectors.kt_mgfn.selection import select
from trainables.layers.anchors import clip_to_video, decode_anchors
from trainables.losses.oic import oic_loss
from trainables.records import Batch, RawOutput, SegmentTargets

SMALL = Config(data=Data(length=24), base=Base(width=16, dropout=0.0), brm=Brm(width=8, oic_keep=1.0))


def build(config: Config = SMALL, feat_dim: int = 6, num_classes: int = 3) -> KtMgfn:
    torch.manual_seed(0)
    model = config.build(feat_dim=feat_dim, num_classes=num_classes)
    return model.double().train()


def batch(num: int = 4, length: int = 24, valid: int | None = None) -> Batch:
    generator = torch.Generator().manual_seed(5)
    mask = torch.arange(length).expand(num, length) < (valid or length)
    labels = torch.zeros(num, 3, dtype=torch.float64)
    labels[torch.arange(num), torch.arange(num) % 3] = 1.0
    return Batch(
        video_ids=tuple(f"v{i}" for i in range(num)),
        valid_mask=mask,
        seconds_per_sample=torch.full((num,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(num, dtype=torch.float64),
        video_labels=labels,
        feats=torch.randn(num, 6, length, generator=generator, dtype=torch.float64),
    )


def gradients(model: KtMgfn, active: tuple[str, ...]) -> dict[str, bool]:
    """Parameter name -> whether it got a gradient that is not zero."""
    model.zero_grad(set_to_none=True)
    data = batch()
    sum(model.losses(model(data), data, active).values()).backward()  # type: ignore[union-attr]
    return {n: p.grad is not None and bool(p.grad.abs().sum() > 0) for n, p in model.named_parameters()}


def test_an_ablated_module_leaves_nothing_behind() -> None:
    plain = build(Config(mdcm=Mdcm((1,)), ccm=Ccm(stages=1), brm=Brm(enabled=False), base=Base(width=16)))
    names = {n.split(".")[0] + "." + n.split(".")[1] for n, _ in plain.named_parameters()}
    assert names == {"stages.0"}
    assert len(plain.stages[0].branches) == 1
    data = batch()
    outputs = plain(data)
    assert "offsets" not in outputs.raw
    assert outputs.segments is None
    with pytest.raises(ValueError, match="no loss oic; this configuration has class"):
        plain.losses(outputs, data, ("class", "oic"))


def test_every_parameter_of_a_phase_gets_a_gradient_and_no_other() -> None:
    class_only = gradients(build(), ("class",))
    assert all(found == name.startswith("stages.") for name, found in class_only.items())
    both = gradients(build(), ("class", "oic"))
    assert all(both.values()), [n for n, found in both.items() if not found]
    apart = gradients(build(dataclasses.replace(SMALL, brm=Brm(width=8, oic_keep=1.0, grad_to_cas=False))), ("oic",))
    assert all(found == name.startswith("regressor.") for name, found in apart.items())


def test_without_its_gradient_the_regression_leaves_the_classifier_alone() -> None:
    cut = dataclasses.replace(SMALL, brm=Brm(width=8, oic_keep=1.0, grad_to_cas=False))
    off = dataclasses.replace(SMALL, brm=Brm(enabled=False))
    grads = []
    for config, active in ((cut, ("class", "oic")), (off, ("class",))):
        model = build(config)
        data = batch()
        sum(model.losses(model(data), data, active).values()).backward()  # type: ignore[union-attr]
        grads.append({n: p.grad for n, p in model.named_parameters() if n.startswith("stages.")})
    assert grads[0].keys() == grads[1].keys()
    assert all(torch.equal(grads[0][n], grads[1][n]) for n in grads[0])


def test_boundaries_are_never_read() -> None:
    data = batch()
    targets = tuple(SegmentTargets(torch.tensor([[1.0, 5.0]]), torch.tensor([0])) for _ in data.video_ids)
    scrambled = dataclasses.replace(data, segments=targets, frame_labels=torch.ones(4, 24, 3))
    model = build()
    losses = [model.losses(model(d), d, ("class", "oic")) for d in (data, scrambled)]
    assert losses[0] == losses[1]


def test_padding_changes_nothing() -> None:
    short, padded = batch(length=18), batch(length=24, valid=18)
    feats = padded.feats.clone()  # type: ignore[union-attr]
    feats[..., :18] = short.feats
    padded = dataclasses.replace(padded, feats=feats)
    model = build().eval()
    a, b = model(short), model(padded)
    for name in ("cas", "class_probs"):
        assert torch.allclose(a.raw[name], b.raw[name][..., :18] if name == "cas" else b.raw[name])
    assert torch.allclose(a.raw["offsets"], b.raw["offsets"][..., :18])
    model.train()
    losses = [model.losses(model(d), d, ("class", "oic")) for d in (short, padded)]
    assert {k: float(v) for k, v in losses[0].items()} == pytest.approx({k: float(v) for k, v in losses[1].items()})


def test_class_loss_golden() -> None:
    # logits (0, -1) for labels (1, 0): full binary cross-entropy, mean 0.503204
    model = build(Config(mdcm=Mdcm((1,)), ccm=Ccm(stages=1), brm=Brm(enabled=False), base=Base(width=4)), num_classes=2)
    data = dataclasses.replace(batch(num=1), video_labels=torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    outputs = model(data)
    logits = torch.tensor([0.0, -1.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    fixed = dataclasses.replace(outputs, terms={**outputs.terms, "logits": logits})
    assert float(model.losses(fixed, data, ("class",))["class"]) == pytest.approx(0.503204, abs=1e-6)


def test_classification_weight_does_not_depend_on_the_number_of_branches() -> None:
    values = []
    for dilations in ((1,), (1, 2, 3, 5)):
        model = build(dataclasses.replace(SMALL, mdcm=Mdcm(dilations)))
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)
        data = batch()
        values.append(float(model.losses(model(data), data, ("class",))["class"]))
    assert values == pytest.approx([2 * np.log(2)] * 2)  # two stages, each ln 2


def test_decode_starts_at_the_anchors() -> None:
    segments = decode_anchors(torch.zeros(2, 2, 5), torch.tensor([1.0, 4.0]))
    assert segments[0, 3].tolist() == [3.0, 4.0]
    assert segments[1, 3].tolist() == [1.5, 5.5]


def test_selection_against_a_loop() -> None:
    generator = torch.Generator().manual_seed(3)
    cas = torch.rand(3, 12, generator=generator, dtype=torch.float64)
    offsets = 0.3 * torch.randn(3, 2, 4, 12, generator=generator, dtype=torch.float64)
    anchors = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
    segments = clip_to_video(decode_anchors(offsets, anchors), torch.tensor([12, 12, 12]))
    settings: dict[str, float] = {"gamma": 0.25, "outer_min": 1.0}
    found = select(cas, segments, cas_thr=0.4, oic_keep=-0.1, **settings)
    expected = []
    for s in range(3):
        for t in range(12):
            if cas[s, t] >= 0.4:
                ends = segments[s, :, t]
                losses = oic_loss(cas[s : s + 1], ends[None, :, 0], ends[None, :, 1], **settings)[0]
                best = int(losses.argmin())
                if losses[best] <= -0.1:
                    expected.append((s, t, best, float(losses[best])))
    got = list(
        zip(found.sequence.tolist(), found.position.tolist(), found.anchor.tolist(), found.oic.tolist(), strict=True)
    )
    assert [g[:3] for g in got] == [e[:3] for e in expected]
    assert [g[3] for g in got] == pytest.approx([e[3] for e in expected])
    assert len(expected) > 5


def raw_output(config: Config, **changes: Any) -> RawOutput:
    model = build(config).eval()
    outputs = model(batch(num=1))
    values: dict[str, Any] = {
        "video_id": "v0", "start_s": 2.0, "seconds_per_sample": 0.5, "num_samples": 24, "duration_s": 13.0,
        "tensors": {name: tensor[0] for name, tensor in outputs.raw.items()},
    }  # fmt: skip
    return RawOutput(**{**values, **changes})


def test_confidence_golden() -> None:
    # actionness 0.9 in [3, 6), OIC loss -0.75, class probability 0.6
    cas = torch.tensor([[0, 0, 0.1, 0.9, 1, 0.8, 0.2, 0, 0, 0], [0.0] * 10, [0.0] * 10], dtype=torch.float64)
    tensors = {"cas": cas, "class_probs": torch.tensor([0.6, 0.1, 0.1]).double(), "offsets": torch.zeros(2, 1, 10)}
    config = dataclasses.replace(SMALL, brm=Brm(width=8, anchors=(3,), cas_thr=0.95))
    found = build(config).detect([raw_output(SMALL, start_s=0.0, num_samples=10, tensors=tensors)], config)
    assert found.segments_s.tolist() == [[1.5, 3.0]]
    assert found.labels.tolist() == [0]
    assert found.scores.tolist() == pytest.approx([0.945])


def test_confidence_is_the_product_of_the_chosen_terms() -> None:
    base = dataclasses.replace(SMALL, post=Post(theta_nms=1.0, top=1000))
    raw = [raw_output(base, duration_s=100.0)]
    model = build(base)

    def scores(*terms: str) -> dict[tuple[float, ...], float]:
        config = dataclasses.replace(base, post=dataclasses.replace(base.post, score_terms=terms))
        found = model.detect(raw, config)
        keys = [(*s.tolist(), int(k)) for s, k in zip(found.segments_s, found.labels, strict=True)]
        # of equal segments the first is the one Soft-NMS has not weakened
        return dict(reversed(list(zip(keys, found.scores.tolist(), strict=True))))

    act, cls, oic, product = scores("act"), scores("class"), scores("oic"), scores("act", "class", "oic")
    assert len(product) > 10
    for key, value in product.items():
        assert value == pytest.approx(act[key] * cls[key] * oic[key])


def test_detections_are_in_seconds_inside_the_video_best_first() -> None:
    config = dataclasses.replace(SMALL, post=Post(top=20))
    found = build(config).detect([raw_output(config)], config)
    assert len(found.scores) == 20
    assert (np.diff(found.scores) <= 0).all()
    assert found.segments_s.min() >= 2.0
    assert found.segments_s.max() <= 13.0
    assert (found.segments_s[:, 1] > found.segments_s[:, 0]).all()


def test_thresholding_without_regression() -> None:
    config = dataclasses.replace(SMALL, brm=Brm(enabled=False), post=Post(tau_cas=0.5))
    cas = torch.zeros(3, 24)
    cas[1, 4:8], cas[1, 20:24], cas[2, 0:3] = 0.8, 0.6, 0.9
    tensors = {"cas": cas, "class_probs": torch.tensor([0.9, 0.5, 0.05])}
    found = build(config).detect([raw_output(config, tensors=tensors, start_s=0.0)], config)
    assert found.segments_s.tolist() == [[2.0, 4.0], [10.0, 12.0]]
    assert found.labels.tolist() == [1, 1]
    assert found.scores.tolist() == pytest.approx([0.4, 0.3])


def test_a_video_in_pieces_is_refused() -> None:
    raw = raw_output(SMALL)
    with pytest.raises(ValueError, match="more than one input"):
        build().detect([raw, raw], SMALL)


def test_recipe() -> None:
    first, second = Config(ktm=Ktm(enabled=False)).phases()
    assert (first.epochs, first.lr, dict(first.loss_weights), first.frozen) == (
        30,
        1e-3,
        {"class": 1.0},
        ("regressor.",),
    )
    assert (second.epochs, second.lr, dict(second.loss_weights)) == (70, 1e-4, {"class": 1.0, "oic": 10.0})
    assert first.weight_decay == second.weight_decay == 2e-4
    stagewise = Config(train=Train("stagewise"), ktm=Ktm(enabled=False)).phases()[1]
    assert (dict(stagewise.loss_weights), stagewise.frozen) == ({"oic": 10.0}, ("stages.",))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Config(base=Base(kernel=4)), "base.kernel: 4 must be odd"),
        (lambda: Config(mdcm=Mdcm(())), "mdcm.dilations"),
        (lambda: Config(post=Post(score_terms=("acts",))), "post.score_terms"),
        (lambda: Config(train=Train("stagewise"), brm=Brm(enabled=False)), "train.mode"),
    ],
)
def test_settings_that_contradict_each_other(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def _two_bumps(num: int) -> Batch:
    """Strong and weak evidence of one class, apart from each other."""
    generator = torch.Generator().manual_seed(0)
    feats = 0.1 * torch.randn(num, 6, 40, generator=generator, dtype=torch.float64)
    labels = torch.zeros(num, 3, dtype=torch.float64)
    for i in range(num):
        k = i % 3
        labels[i, k] = 1.0
        feats[i, k, 6:12] += 2.0
        feats[i, 3 + k, 26:32] += 0.4
    return dataclasses.replace(batch(num, 40), feats=feats, video_labels=labels)


def test_the_second_stage_finds_what_the_first_one_left() -> None:
    # low enough to erase the strong bump to its rim
    config = Config(base=Base(width=16, dropout=0.0), mdcm=Mdcm((1,)), ccm=Ccm(xi_era=0.35), brm=Brm(enabled=False))
    model = build(config)
    data = _two_bumps(12)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(200):
        optimizer.zero_grad()
        model.losses(model(data), data, ("class",))["class"].backward()
        optimizer.step()
    model.eval()
    own = torch.arange(12), torch.arange(12) % 3
    with torch.no_grad():
        _, probs = model._cascade(data.feats, data.valid_mask, None)  # type: ignore[arg-type]
    first, second = (p[own] for p in probs)
    strong, weak = slice(6, 12), slice(26, 32)
    assert (first[:, strong].amax(dim=1) > first[:, weak].amax(dim=1)).float().mean() > 0.9
    assert (second[:, weak].amax(dim=1) > second[:, strong].amax(dim=1)).float().mean() > 0.9
    covered = [(p[:, weak] >= 0.5).double().mean() for p in (first, torch.maximum(first, second))]
    assert covered[1] > covered[0] + 0.3
