"""The switches that the paper leaves open: what each changes, and that it changes nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.kt_mgfn.config import Base, Brm, Config, Data, Ktm, Mdcm, Optim, Post, Train
from trainables.detectors.kt_mgfn.length_prior import fit_lengths, flat_prior, log_length_density
from trainables.detectors.kt_mgfn.model import KtMgfn
from trainables.detectors.kt_mgfn.selection import select
from trainables.layers.anchors import clip_to_video, decode_anchors
from trainables.losses.oic import oic_loss
from trainables.records import Batch, RawOutput, SegmentTargets

SMALL = Config(
    data=Data(length=24), base=Base(width=16, dropout=0.0), brm=Brm(width=8, oic_keep=1.0), ktm=Ktm(enabled=False)
)


def regressing(**changes: Any) -> Config:
    return dataclasses.replace(SMALL, brm=dataclasses.replace(SMALL.brm, **changes))


def build(config: Config) -> KtMgfn:
    torch.manual_seed(0)
    model: KtMgfn = config.build(feat_dim=6, num_classes=3)
    return model.double().train()


def batch(num: int = 4, length: int = 24, **changes: Any) -> Batch:
    generator = torch.Generator().manual_seed(5)
    data = Batch(
        video_ids=tuple(f"v{i}" for i in range(num)),
        valid_mask=torch.ones(num, length, dtype=torch.bool),
        seconds_per_sample=torch.full((num,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(num, dtype=torch.float64),
        video_labels=torch.eye(3, dtype=torch.float64)[torch.arange(num) % 3],
        feats=torch.randn(num, 6, length, generator=generator, dtype=torch.float64),
    )
    return dataclasses.replace(data, **changes)


def annotated(*segments: tuple[float, float, int], seconds: float = 0.5) -> Batch:
    """One video with segments in samples."""
    ends = torch.tensor([s[:2] for s in segments]).reshape(-1, 2)
    targets = SegmentTargets(ends, torch.tensor([s[2] for s in segments], dtype=torch.long))
    return batch(1, segments=(targets,), seconds_per_sample=torch.tensor([seconds], dtype=torch.float64))


def raw_outputs(model: KtMgfn, data: Batch) -> list[RawOutput]:
    outputs = model.eval()(data)
    return [
        RawOutput(v, 0.0, 0.5, data.valid_mask.shape[1], 100.0, {n: t[i] for n, t in outputs.raw.items()})
        for i, v in enumerate(data.video_ids)
    ]


def test_an_unbounded_sequence_goes_through_training_and_inference() -> None:
    config = dataclasses.replace(SMALL, cas_norm="none")
    model, data = build(config), batch()
    outputs = model(data)
    branches = torch.stack([r.cas for r in model._cascade(data.feats, data.valid_mask, data.video_labels)[0]])  # type: ignore[arg-type]
    assert torch.equal(outputs.terms["cas"], branches.amax(dim=0))
    assert outputs.terms["cas"].min() < 0
    losses = model.losses(outputs, data, ("class", "oic"))
    assert all(torch.isfinite(value) for value in losses.values())
    found = model.detect(raw_outputs(model, data), config)
    assert len(found.scores) > 0
    assert (found.scores > 0).all()


@pytest.mark.parametrize("how", ["minmax", "sigmoid", "relu_max", "none"])
def test_every_normalisation_of_the_sequence_is_a_detector(how: Any) -> None:
    config = dataclasses.replace(SMALL, cas_norm=how)
    model, data = build(config), batch()
    sum(model.losses(model(data), data, ("class", "oic")).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_training_on_whole_samples_has_its_own_loss() -> None:
    data, values = batch(), {}
    for mode in ("continuous", "discrete"):
        model = build(regressing(oic_mode=mode, train_nms="none"))
        outputs = model(data)
        view = outputs.segments
        assert view is not None
        rows = oic_loss(
            outputs.terms["cas"][view.input_index, view.labels],
            view.ends_grid[:, :1], view.ends_grid[:, 1:], gamma=0.25, outer_min=1.0, mode=mode,  # type: ignore[arg-type]
        )  # fmt: skip
        loss = model.losses(outputs, data, ("oic",))["oic"]
        values[mode] = loss.item()
        assert values[mode] == pytest.approx(rows.sum().item() / 4)
        loss.backward()
        assert all(p.grad is not None and p.grad.any() for p in model.regressor.parameters())
    assert values["continuous"] != values["discrete"]


def test_at_test_the_loss_may_be_taken_on_whole_samples() -> None:
    config = dataclasses.replace(SMALL, post=Post(score_terms=("oic",), theta_nms=1.0, top=1000))
    model = build(config)
    raw = raw_outputs(model, batch(1))

    def scores(**changes: Any) -> dict[tuple[float, ...], float]:
        own = dataclasses.replace(config, **changes)
        found = model.detect(raw, own)
        keys = [(*s, k) for s, k in zip(found.segments_s.tolist(), found.labels.tolist(), strict=True)]
        # of equal segments the first is the one Soft-NMS has not weakened
        return dict(reversed(list(zip(keys, found.scores.tolist(), strict=True))))

    on_samples = scores(post=dataclasses.replace(config.post, oic_mode="discrete"))
    assert on_samples == scores(brm=dataclasses.replace(config.brm, oic_mode="discrete"))
    assert on_samples != scores()
    assert len(on_samples) > 10
    cas = raw[0].tensors["cas"].double()
    for (start, end, label), value in on_samples.items():
        ends = torch.tensor([[start / 0.5], [end / 0.5]], dtype=torch.float64)
        loss = oic_loss(cas[int(label)][None], ends[:1], ends[1:], gamma=0.25, outer_min=1.0, mode="discrete")
        assert value == pytest.approx(1.0 - float(loss))


def test_lengths_are_fitted_class_by_class_in_seconds() -> None:
    videos = [
        annotated((2.0, 6.0, 0), (1.0, 9.0, 0), (0.0, 3.0, 2)),
        annotated((4.0, 5.0, 0), seconds=2.0),
        annotated(),
    ]
    prior = fit_lengths(videos, 4)
    assert prior[0].tolist() == pytest.approx(norm.fit([2.0, 4.0, 2.0]))
    assert prior[2].tolist() == pytest.approx([1.5, 1e-3])
    assert torch.equal(prior[[1, 3]], flat_prior(2))
    with pytest.raises(ValueError, match=r"brm\.length_prior: class_gaussian reads annotated segments"):
        fit_lengths([batch()], 3)


@given(
    lengths=st.lists(st.floats(0.1, 40), min_size=2, max_size=6),
    seconds=st.floats(0.1, 3),
    mean=st.floats(0.1, 20),
    std=st.floats(0.1, 10),
)
def test_density_of_lengths_is_the_gaussian_s(lengths: list[float], seconds: float, mean: float, std: float) -> None:
    segments = torch.tensor([[0.0, x] for x in lengths], dtype=torch.float64)[None, :, None]
    prior = torch.tensor([[mean, std]], dtype=torch.float64)
    found = log_length_density(segments, torch.tensor([seconds], dtype=torch.float64), prior)[0, :, 0]
    exact = norm.logpdf(np.asarray(lengths) * seconds, mean, std)
    assert (found - found[0]).tolist() == pytest.approx((exact - exact[0]).tolist(), abs=1e-6)
    assert not log_length_density(segments, torch.tensor([seconds]), flat_prior(1)).any()


def test_the_anchor_of_a_position_is_chosen_by_loss_times_likelihood() -> None:
    generator = torch.Generator().manual_seed(3)
    cas = torch.rand(2, 12, generator=generator, dtype=torch.float64)
    offsets = 0.3 * torch.randn(2, 2, 4, 12, generator=generator, dtype=torch.float64)
    anchors = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
    segments = clip_to_video(decode_anchors(offsets, anchors), torch.tensor([12, 12]))
    prior = [(5.0, 1.0), (1.0, 0.5)]
    log_prior = log_length_density(segments, torch.full((2,), 1.0), torch.tensor(prior))
    settings: dict[str, Any] = {"cas_thr": 0.3, "oic_keep": 0.2, "gamma": 0.25, "outer_min": 1.0}
    found = select(cas, segments, log_prior=log_prior, **settings)
    expected = []
    for s, t in itertools.product(range(2), range(12)):
        if cas[s, t] < 0.3:
            continue
        ends = segments[s, :, t]
        losses = oic_loss(cas[s : s + 1], ends[None, :, 0], ends[None, :, 1], gamma=0.25, outer_min=1.0)[0]
        usual = norm.pdf((ends[:, 1] - ends[:, 0]).numpy(), *prior[s])
        best = int(np.argmax((1.0 - losses.numpy()) * usual))
        if losses[best] <= 0.2:
            expected.append((s, t, best))
    assert list(zip(found.sequence.tolist(), found.position.tolist(), found.anchor.tolist(), strict=True)) == expected
    plain = select(cas, segments, **settings)
    assert plain.anchor.tolist() != found.anchor.tolist()
    flat = select(cas, segments, log_prior=torch.zeros_like(log_prior), **settings)
    assert torch.equal(flat.anchor, plain.anchor)
    assert torch.equal(flat.oic, plain.oic)


def test_with_a_length_prior_anchors_are_as_long_as_annotated_actions() -> None:
    config = regressing(length_prior="class_gaussian")
    model = build(config)
    assert config.supervision == "segments"
    assert Config.supervision == SMALL.supervision == "video_labels"
    # actions of class 0 last 4 s, of class 1 half a second, both of 8 and 1 samples; class 2 is annotated nowhere
    shown = annotated((1.0, 9.0, 0), (2.0, 10.0, 0), (3.0, 4.0, 1), (6.0, 7.0, 1))
    model.begin_phase("classify", lambda split, sampling: [shown] if split == "train" else [])
    assert model.state_dict()["length_prior"][:2, 0].tolist() == pytest.approx([4.0, 0.5])
    outputs = model(batch())
    view = outputs.segments
    assert view is not None
    length = (view.ends_grid[:, 1] - view.ends_grid[:, 0]).detach()
    assert length[view.labels == 0].max() <= 8.5
    assert length[view.labels == 0].max() > 7.5
    assert length[view.labels == 1].mean() < 1.5
    found = model.detect(raw_outputs(model, batch()), config)
    seconds = found.segments_s[:, 1] - found.segments_s[:, 0]
    assert np.median(seconds[found.labels == 0]) > np.median(seconds[found.labels == 1]) + 1.0
    again = build(config)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.state_dict()["length_prior"], model.state_dict()["length_prior"])


def test_without_a_length_prior_nothing_of_it_is_left() -> None:
    model = build(SMALL)
    assert "length_prior" not in model.state_dict()
    assert "length_prior" not in model(batch()).raw


def test_a_trial_with_a_length_prior_reads_the_training_lengths(tmp_path: Path) -> None:
    from trainables.entrypoints.detection import DetectionTrial
    from trainables.evaluation.detection.protocols import ActivityNet

    data = Synthetic(num_videos=16, num_classes=3, feat_dim=8, trimmed_per_class=0)
    data.prepare(tmp_path)
    config = dataclasses.replace(regressing(length_prior="class_gaussian"), optim=Optim(epochs1=1, epochs2=1))
    trial = DetectionTrial(detector=config, tasks={}, dataset=data, protocol=ActivityNet(), seed=0, data_root=tmp_path)
    trial.train_epoch()
    truth = data.open(tmp_path).ground_truth("train")
    length = truth.segments_s[:, 1] - truth.segments_s[:, 0]
    for k, (mean, std) in enumerate(trial._modules.state_dict()["detector.length_prior"].tolist()):
        assert (mean, std) == pytest.approx(norm.fit(length[truth.labels == k]), rel=1e-4)
    trial.train_epoch()
    assert math.isfinite(trial.score_select(config, ActivityNet())["avg_map"])


def test_branches_may_share_their_classifier() -> None:
    apart, shared = (build(dataclasses.replace(SMALL, mdcm=Mdcm((1, 2, 3), own))) for own in (True, False))
    sizes = [sum(p.numel() for p in model.stages[0].parameters()) for model in (apart, shared)]
    assert sizes[0] - sizes[1] == 2 * (16 * 3 + 3)
    heads = [branch.head for branch in shared.stages[0].branches]
    assert all(head is heads[0] for head in heads)
    assert shared.stages[1].branches[0].head is not heads[0]
    data = batch()
    shared.losses(shared(data), data, ("class",))["class"].backward()
    assert heads[0].weight.grad.any()
    # a head's bias gets the mean over branches of what each branch says
    probs = torch.sigmoid(shared(data).terms["logits"][0])
    expected = (probs - data.video_labels).mean(dim=0).sum(dim=0) / data.video_labels.numel()  # type: ignore[operator,union-attr]
    assert heads[0].bias.grad.tolist() == pytest.approx(expected.tolist())


def test_the_regression_may_be_normalised_and_padding_still_changes_nothing() -> None:
    config = regressing(batch_norm=True)
    data = batch(length=18)
    padded = batch(feats=torch.nn.functional.pad(data.feats, (0, 6), value=7.0))  # type: ignore[arg-type]
    padded = dataclasses.replace(padded, valid_mask=(torch.arange(24) < 18).expand(4, 24))
    a, b = build(config)(data).raw["offsets"], build(config)(padded).raw["offsets"]
    assert torch.allclose(a, b[..., :18])
    names = {name for name, _ in build(config).regressor.named_parameters()}
    assert {"norms.0.norm.weight", "norms.2.norm.bias"} <= names
    assert not [n for n, _ in build(SMALL).regressor.named_parameters() if n.startswith("norms")]
    assert len(build(SMALL).regressor.state_dict()) == 8
    inner = []
    model = build(config)
    model.regressor.norms[1].register_forward_hook(lambda module, args, out: inner.append(out))
    model(data)
    assert inner[0].mean(dim=(0, 2)).abs().max() < 1e-9
    assert (inner[0].var(dim=(0, 2), correction=0) - 1).abs().max() < 1e-2


@pytest.mark.parametrize("train", ["sparse", "uniform", "rescale", "native"])
@pytest.mark.parametrize("test", ["uniform", "rescale", "native"])
def test_every_sampling_reaches_the_loader(train: Any, test: Any) -> None:
    sampling = Config(data=Data(length=40, train_sampling=train, test_sampling=test)).sampling()
    assert (sampling.train, sampling.test, sampling.length) == (train, test, 40)


def test_every_subset_of_score_terms_is_offered() -> None:
    offered = {f.name: f.metadata["choices"] for f in dataclasses.fields(Post)}["score_terms"]
    terms = ("act", "class", "oic")
    assert set(offered) == {c for n in (1, 2, 3) for c in itertools.combinations(terms, n)}


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Config(brm=Brm(enabled=False, length_prior="class_gaussian")), "brm.length_prior: it chooses among"),
        (lambda: Config(brm=Brm(enabled=False), train=Train("stagewise")), "train.mode"),
    ],
)
def test_switches_that_contradict_each_other(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()
