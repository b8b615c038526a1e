"""CleanNet: its losses and who learns from them, its variants, its inference."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from trainables.detectors.clean_net.config import Config, Contrast, Gen, Infer, Loss, Optim, Reg, Sel, Warmup
from trainables.detectors.clean_net.selection import judge
from trainables.detectors.untrimmed_net.config import Cls
from trainables.detectors.untrimmed_net.config import Config as UntrimmedNet
from trainables.detectors.untrimmed_net.config import Infer as UntrimmedInfer
from trainables.layers.anchors import clip_to_video, decode_anchors
from trainables.layers.snippet_heads import attention_weights, mil_loss, pooled_probs
from trainables.records import Batch, RawOutput, SegmentTargets

FULL = Config(cls=Cls(dropout=0.0), gen=Gen(width=8, anchors=(1, 2, 4, 8)), sel=Sel(theta_scp=0.3, positive_score=0.1))
VARIANTS = {
    "plain_model": dataclasses.replace(FULL, gen=dataclasses.replace(FULL.gen, train=False), joint=False),
    "actioness_only": dataclasses.replace(FULL, contrast=Contrast(terms=("action",)), joint=False),
    "edgeness_only": dataclasses.replace(
        FULL, contrast=Contrast(terms=("edge",)), sel=Sel(theta_scp=0.3, positive_score=-1.0), joint=False
    ),
    "cleannet_simple": dataclasses.replace(FULL, gen=dataclasses.replace(FULL.gen, tsn_sampling=False), joint=False),
    "cleannet_t": dataclasses.replace(FULL, joint=False),
    "cleannet_j": dataclasses.replace(FULL, gen=dataclasses.replace(FULL.gen, tsn_sampling=False)),
    "cleannet": FULL,
    "oic_score": dataclasses.replace(FULL, contrast=Contrast(terms=("oic",)), joint=False),
}


def build(config: Config = FULL) -> Any:
    """With classifiers strong enough for classes to stand out."""
    torch.manual_seed(0)
    model = config.build(feat_dim=8, num_classes=3).double().train()
    with torch.no_grad():
        model.heads.classifier.weight.mul_(3000.0)
        model.heads.attention.weight.mul_(500.0)
    return model


def batch(num: int = 3, length: int = 20, valid: int | None = None) -> Batch:
    generator = torch.Generator().manual_seed(5)
    return Batch(
        video_ids=tuple(f"v{i}" for i in range(num)),
        valid_mask=torch.arange(length).expand(num, length) < (valid or length),
        seconds_per_sample=torch.full((num,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(num, dtype=torch.float64),
        video_labels=torch.eye(3, dtype=torch.float64)[torch.arange(num) % 3],
        feats=torch.randn(num, 8, length, generator=generator, dtype=torch.float64),
    )


def learners(model: Any, active: tuple[str, ...]) -> set[str]:
    """Parts (heads, generator) of which every parameter gets a gradient; a part with only some fails."""
    model.zero_grad(set_to_none=True)
    data = batch()
    torch.manual_seed(1)
    sum(model.losses(model(data), data, active).values()).backward()  # type: ignore[union-attr]
    parts: dict[str, list[bool]] = {}
    for name, p in model.named_parameters():
        parts.setdefault(name.split(".")[0], []).append(p.grad is not None and bool(p.grad.abs().sum() > 0))
    assert all(all(found) or not any(found) for found in parts.values()), parts
    return {part for part, found in parts.items() if all(found)}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_of_a_phase_gets_a_gradient_and_no_other(name: str) -> None:
    config = VARIANTS[name]
    model = build(config)
    for phase in config.phases():
        frozen = {prefix.rstrip(".") for prefix in phase.frozen}
        present = {part.split(".")[0] for part, _ in model.named_parameters()}
        assert frozen <= present
        assert learners(model, tuple(phase.loss_weights)) == present - frozen


def test_the_regression_loss_trains_the_generator_alone_unless_told_otherwise() -> None:
    assert learners(build(), ("contrast",)) == {"generator"}
    through = build(dataclasses.replace(FULL, reg=Reg(detach_scp=False)))
    data = batch()
    through.losses(through(data), data, ("contrast",))["contrast"].backward()
    assert bool(through.heads.classifier.weight.grad.abs().sum() > 0)
    # the score does not depend on the attention
    assert through.heads.attention.weight.grad is None


def test_without_a_generator_nothing_is_left_of_it() -> None:
    plain = VARIANTS["plain_model"]
    model, data = build(plain), batch()
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"heads"}
    assert [phase.name for phase in plain.phases()] == ["classify"]
    outputs = model(data)
    assert "offsets" not in outputs.raw
    with pytest.raises(ValueError, match="no loss contrast; this configuration has class"):
        model.losses(outputs, data, ("class", "contrast"))


def test_boundaries_are_never_read() -> None:
    model, data = build(), batch()
    targets = tuple(SegmentTargets(torch.tensor([[1.0, 5.0]]), torch.tensor([0])) for _ in data.video_ids)
    scrambled = dataclasses.replace(data, segments=targets, frame_labels=torch.ones(3, 20, 3))
    losses = []
    for given in (data, scrambled):
        torch.manual_seed(1)
        losses.append(model.losses(model(given), given, ("class", "positive_class", "contrast", "num_positives")))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("norm", ["none", "bn", "gn"])
def test_padding_changes_nothing(norm: str) -> None:
    config = dataclasses.replace(FULL, gen=dataclasses.replace(FULL.gen, norm=norm))
    short, padded = batch(length=14), batch(length=20, valid=14)
    feats = padded.feats.clone()  # type: ignore[union-attr]
    feats[..., :14] = short.feats
    padded = dataclasses.replace(padded, feats=feats)
    losses = []
    for data in (short, padded):
        model = build(config)
        model.generator.eval()  # drawn positions would differ between the two lengths
        losses.append(model.losses(model(data), data, ("class", "positive_class", "contrast", "num_positives")))
    assert losses[0]["num_positives"] > 3
    values = [{name: value.item() for name, value in found.items()} for found in losses]
    assert values[0] == pytest.approx(values[1])


def test_losses_against_a_loop_over_videos_classes_anchors_and_positions() -> None:
    # high enough to leave snippets out
    model, data = build(dataclasses.replace(FULL, sel=Sel(theta_scp=0.3, positive_score=0.55))), batch()
    model.generator.eval()
    two = data.video_labels.clone()  # type: ignore[union-attr]
    two[1] = torch.tensor([1.0, 1.0, 0.0])
    data = dataclasses.replace(data, video_labels=two)
    outputs = model(data)
    found = model.losses(outputs, data, ("positive_class", "contrast", "num_positives"))
    evidence = model.heads(data.feats, data.valid_mask)
    anchors = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
    scores, class_losses = [], []
    for b in range(3):
        ends = clip_to_video(decode_anchors(outputs.raw["offsets"][b : b + 1], anchors), torch.tensor([20]))
        covered = torch.zeros(20, dtype=torch.bool)
        for k in two[b].nonzero()[:, 0].tolist():
            psi = evidence.scp[b, k].detach()
            judged = judge(psi[None], data.valid_mask[:1], ends, FULL.contrast)[0]
            for m in range(4):
                for t in range(20):
                    if psi[t] >= 0.3 and float(judged[m, t]) > 0.55:
                        scores.append(float(judged[m, t]))
                        centres = torch.arange(20) + 0.5
                        covered |= (centres >= ends[0, m, t, 0]) & (centres < ends[0, m, t, 1])
        assert 0 < covered.sum() < 20
        weights = attention_weights(evidence.attention_logits[b : b + 1], covered[None])
        class_losses.append(mil_loss(pooled_probs(evidence.scp[b : b + 1], weights), two[b : b + 1]))
    assert found["contrast"].item() == pytest.approx(np.mean([max(2.0 - s, 0.0) for s in scores]))
    assert float(found["num_positives"]) == pytest.approx(len(scores) / 3)
    assert found["positive_class"].item() == pytest.approx(torch.stack(class_losses).mean().item())
    view = outputs.segments
    assert sorted(view.scores.tolist()) == pytest.approx(sorted(scores))
    assert view.ends_grid.requires_grad


def test_without_positive_segments_every_snippet_counts_and_nothing_is_regressed() -> None:
    model, data = build(dataclasses.replace(FULL, sel=Sel(positive_score=2.0))), batch()
    losses = model.losses(model(data), data, ("class", "positive_class", "contrast", "num_positives"))
    assert losses["num_positives"].item() == losses["contrast"].item() == 0.0
    assert torch.equal(losses["positive_class"], losses["class"])
    losses["contrast"].backward()
    assert all(not p.grad.any() for p in model.generator.parameters() if p.grad is not None)


def test_dropout_disturbs_learning_but_not_the_judge() -> None:
    model, data = build(dataclasses.replace(FULL, cls=Cls(dropout=0.5))), batch()
    model.generator.eval()
    first, second = model(data), model(data)
    assert torch.equal(first.terms["contrast"], second.terms["contrast"])
    assert not torch.equal(first.terms["video_probs"], second.terms["video_probs"])
    model.heads.eval()  # as the trial does in a phase that freezes them
    first, second = model(data), model(data)
    assert torch.equal(first.terms["video_probs"], second.terms["video_probs"])


def raw_output(config: Config, **changes: Any) -> RawOutput:
    outputs = build(config).eval()(batch(num=1))
    values: dict[str, Any] = {
        "video_id": "v0", "start_s": 2.0, "seconds_per_sample": 0.5, "num_samples": 20, "duration_s": 11.0,
        "tensors": {name: tensor[0] for name, tensor in outputs.raw.items()},
    }  # fmt: skip
    return RawOutput(**{**values, **changes})


@pytest.mark.parametrize("name", VARIANTS)
def test_detections_carry_the_score_of_their_own_segment(name: str) -> None:
    config = dataclasses.replace(VARIANTS[name], infer=Infer(class_thr=0.0, nms=0.9, cls_weight=0.5))
    raw = raw_output(config, start_s=0.0, duration_s=10.0)
    found = build(config).detect([raw], config)
    assert len(found.scores) > 20
    assert (np.diff(found.scores) <= 0).all()
    scp = raw.tensors["scp"]
    for (start, end), label, score in zip(found.segments_s / 0.5, found.labels, found.scores, strict=True):
        segment = torch.tensor([start, end], dtype=torch.float64).expand(1, 1, 20, 2)
        own = judge(scp[label][None], torch.ones(1, 20, dtype=torch.bool), segment, config.contrast)[0, 0, 0]
        assert score == pytest.approx(float(own + 0.5 * raw.tensors["class_probs"][label]), abs=1e-9)


def test_detections_are_in_seconds_inside_the_video() -> None:
    config = dataclasses.replace(FULL, infer=Infer(top=10))
    found = build(config).detect([raw_output(config)], config)
    assert len(found.scores) == 10
    assert found.segments_s.min() >= 2.0
    assert found.segments_s.max() <= 11.0
    assert (found.segments_s[:, 1] > found.segments_s[:, 0]).all()


def test_inference_values_take_the_place_of_those_of_training() -> None:
    raw = [raw_output(FULL)]
    model = build()

    def detected(infer: Infer, contrast: Contrast = FULL.contrast, sel: Sel = FULL.sel) -> list[float]:
        config = dataclasses.replace(FULL, infer=infer, contrast=contrast, sel=sel)
        scores: list[float] = model.detect(raw, config).scores.tolist()
        return scores

    plain = detected(Infer())
    for infer, contrast, sel in (
        (Infer(ratio=0.4), Contrast(ratio=0.4), FULL.sel),
        (Infer(window=3), Contrast(window=3), FULL.sel),
        (Infer(w_edge=0.0), Contrast(w_edge=0.0), FULL.sel),
        (Infer(min_region=2.0), Contrast(min_region=2.0), FULL.sel),
        (Infer(theta_scp=0.9), FULL.contrast, dataclasses.replace(FULL.sel, theta_scp=0.9)),
        (Infer(theta_sap=1.5), FULL.contrast, dataclasses.replace(FULL.sel, theta_sap=1.5)),
    ):
        changed = detected(infer)
        assert changed != plain
        assert changed == detected(Infer(), contrast, sel)
    # real scores do not tie: rounding makes them
    scp = (4 * raw[0].tensors["scp"]).round() / 4
    raw = [dataclasses.replace(raw[0], tensors={**raw[0].tensors, "scp": scp})]
    plain = detected(Infer())
    assert detected(Infer(tie="nearest")) == detected(Infer(), Contrast(tie="nearest")) != plain
    least = detected(Infer(min_score=0.5))
    assert min(least) >= 0.5
    assert least == [s for s in plain if s >= 0.5]


def test_the_threshold_method_is_untrimmed_net() -> None:
    infer = Infer(method="threshold", cls_weight=0.2)
    config = dataclasses.replace(VARIANTS["plain_model"], infer=infer)
    baseline = UntrimmedNet(cls=FULL.cls, infer=UntrimmedInfer())
    torch.manual_seed(0)
    own = config.build(feat_dim=8, num_classes=3)
    torch.manual_seed(0)
    other = baseline.build(feat_dim=8, num_classes=3)
    weights = own.state_dict()
    assert weights.keys() == other.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in other.state_dict().items())
    raw = raw_output(config)
    a, b = own.detect([raw], config), other.detect([raw], baseline)
    assert len(a.scores) > 0
    assert np.array_equal(a.segments_s, b.segments_s)
    assert np.array_equal(a.scores, b.scores)


def test_recipe() -> None:
    first, second = Config().phases()
    assert (first.name, first.epochs, first.lr, first.optimizer) == ("classify", 50, 1e-4, "adam")
    assert (dict(first.loss_weights), first.frozen) == ({"class": 1.0}, ("generator.",))
    assert (second.epochs, second.lr, second.optimizer, second.momentum) == (3, 1e-4, "sgd", 0.9)
    assert (second.lr_milestones, second.lr_factor, second.weight_decay) == ((1, 2), 0.1, 5e-4)
    assert dict(second.loss_weights) == {"contrast": 1.0, "num_positives": 0.0, "positive_class": 1.0}
    assert second.frozen == ()
    alone = Config(joint=False, loss=Loss(w_reg=3.0), optim=Optim(optimizer="adam"), warmup=Warmup(epochs=5)).phases()
    assert (alone[0].epochs, dict(alone[1].loss_weights)) == (5, {"contrast": 3.0, "num_positives": 0.0})
    assert (alone[1].frozen, alone[1].momentum) == (("heads.",), 0.0)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Config(gen=Gen(anchors=(2, 2))), "gen.anchors"),
        (lambda: Config(contrast=Contrast(window=4)), "contrast.window: 4 must be odd"),
        (lambda: Config(infer=Infer(window=6)), "infer.window: 6 must be odd"),
        (lambda: Config(contrast=Contrast(terms=("edges",))), r"contrast.terms: \['edges'\] must be"),
        (lambda: Config(gen=Gen(train=False)), "joint: it needs the positive segments"),
        (lambda: Config(infer=Infer(method="threshold")), "infer.method: threshold"),
    ],
)
def test_settings_that_contradict_each_other(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_what_is_missing_is_said() -> None:
    model, data = build(), batch()
    with pytest.raises(ValueError, match="the batch has none"):
        model(dataclasses.replace(data, feats=None))
    with pytest.raises(ValueError, match="need video labels"):
        model.losses(model(data), dataclasses.replace(data, video_labels=None), ("class",))
    with pytest.raises(ValueError, match="need training mode"):
        model.losses(model.eval()(data), data, ("contrast",))
    raw = raw_output(FULL)
    with pytest.raises(ValueError, match="more than one input"):
        model.detect([raw, raw], FULL)
