"""Localisation confidence: targets, normalisers, what is logged, and votes at inference."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from roi_host import SmallRoiHost, small_batch, small_host

from trainables.aux_tasks.lce.config import Config
from trainables.aux_tasks.lce.task import Lce
from trainables.detections import Detections
from trainables.layers.offsets import encode_ends
from trainables.losses.gaussian_kl import gaussian_kl
from trainables.losses.smooth_l1 import smooth_l1
from trainables.records import Outputs, RawOutput, RoiView


def task(host: SmallRoiHost | None = None, **settings: Any) -> Lce:
    torch.manual_seed(1)
    built: Lce = Config(**settings).build(host=host or small_host(), feat_channels=6, num_classes=3)
    return built


def planted(**settings: Any) -> tuple[Lce, Outputs]:
    """Four regions, two of them positive, with D = (.5, -2), (0, 1) and alpha = (0, ln 4), (0, 0)."""
    host = small_host()
    host.roi_channels = 4
    lce = task(host, per_class=False, **settings)
    rois = torch.tensor([[0.0, 10.0, 30.0], [0.0, 5.0, 9.0], [0.0, 40.0, 50.0], [0.0, 60.0, 61.0]])
    matched = torch.tensor([[12.0, 34.0], [0.0, 1.0], [40.0, 45.0], [0.0, 1.0]])
    target = encode_ends(rois[:, 1:], matched) / 0.1
    with torch.no_grad():
        error = torch.tensor([[0.5, -2.0], [7.0, 7.0], [0.0, 1.0], [7.0, 7.0]])
        lce.mean.weight.copy_((target + error).T)
        lce.log_variance.weight.copy_(torch.tensor([[0.0, math.log(4)], [3.0, 3.0], [0.0, 0.0], [3.0, 3.0]]).T)
    view = RoiView(rois, torch.eye(4), torch.zeros(4, 4), torch.tensor([2, 0, 1, 0]), matched)
    return lce, Outputs(valid_mask=torch.ones(1, 80, dtype=torch.bool), rois=view)


@pytest.mark.parametrize(("normaliser", "value"), [("rois", 0.423287), ("positives", 0.846574)])
def test_a_batch_of_four_regions(normaliser: str, value: float) -> None:
    lce, outputs = planted(normaliser=normaliser)
    terms = lce.losses(outputs, small_batch())
    assert float(terms["lce"].detach()) == pytest.approx(value, abs=1e-5)
    assert float(terms["lce_sigma"]) == pytest.approx((1 + 2 + 1 + 1) / 4)
    expected = np.corrcoef([1, 2, 1, 1], [0.5, 2, 0, 1])[0, 1]
    assert float(terms["lce_sigma_error_corr"]) == pytest.approx(expected, abs=1e-5)


def test_regions_that_take_no_part_are_not_counted() -> None:
    lce, outputs = planted()
    view = outputs.rois
    assert view is not None
    fewer = replace(outputs, rois=replace(view, labels=torch.tensor([2, -1, 1, 0])))
    assert float(lce.losses(fewer, small_batch())["lce"].detach()) == pytest.approx(1.693147 / 3, abs=1e-5)


def test_offsets_of_eq_1_and_2_not_as_printed() -> None:
    lce, outputs = planted()
    view = outputs.rois
    assert view is not None
    first = replace(
        outputs, rois=RoiView(view.rois[:1], view.feats[:1], view.logits[:1], view.labels[:1], view.matched_gt[:1])
    )
    with torch.no_grad():
        lce.mean.weight.copy_(torch.tensor([[0.5], [1.5]]).expand(2, 4))  # the segment (11, 33), offsets (.05, .15)
        lce.log_variance.weight.zero_()
    loss = float(lce.losses(first, small_batch())["lce"].detach())
    target = torch.tensor([1.0, 2.0])  # (12, 34) beside the region (10, 30)
    assert loss == pytest.approx(float(smooth_l1(torch.tensor([0.5, 1.5]) - target, sigma=1.0).sum()), abs=1e-5)


def test_training_starts_at_the_smooth_l1_loss() -> None:
    host = small_host()
    batch = small_batch()
    outputs = host(batch)
    lce = task(host)
    view = outputs.rois
    positive = view.labels > 0
    assert 0 < int(positive.sum()) < len(positive)
    error = -encode_ends(view.rois[positive, 1:], view.matched_gt[positive]) / 0.1
    plain = float(smooth_l1(error, sigma=1.0).sum() / len(positive))
    assert float(lce.losses(outputs, batch)["lce"].detach()) == pytest.approx(plain, rel=0.02)


def test_each_class_has_outputs_of_its_own() -> None:
    host = small_host()
    batch = small_batch()
    outputs = host(batch)
    lce = task(host)
    seen = {int(k) for k in outputs.rois.labels[outputs.rois.labels > 0]}
    assert seen == {1, 2, 3}
    only = replace(outputs.rois, labels=torch.where(outputs.rois.labels == 2, 2, 0))
    lce.losses(replace(outputs, rois=only), batch)["lce"].backward()
    touched = lce.log_variance.weight.grad.abs().sum(dim=1) > 0
    assert touched.tolist() == [False, False, True, True, False, False]
    assert task(per_class=False).log_variance.weight.shape == (2, 12)


def test_outputs_are_for_each_class_where_the_hosts_regression_is() -> None:
    host = small_host()
    assert task(host).log_variance.weight.shape == task(host, per_class=True).log_variance.weight.shape == (6, 12)
    host.offsets_per_class = False
    assert task(host).log_variance.weight.shape == (2, 12)
    assert task(host, per_class=True).mean.weight.shape == (6, 12)


def test_the_hosts_own_regression_as_mean() -> None:
    host = small_host()
    batch = small_batch()
    outputs = host(batch)
    lce = task(host, mean="host", normaliser="positives", std=0.2)
    assert not hasattr(lce, "mean")
    with torch.no_grad():
        lce.log_variance.weight.zero_()
    view = outputs.rois
    positive = view.labels > 0
    error = (
        host.roi_offsets(outputs)[positive] - encode_ends(view.rois[positive, 1:], view.matched_gt[positive])
    ) / 0.2
    expected = gaussian_kl(error, torch.zeros_like(error)).sum() / positive.sum()
    assert float(lce.losses(outputs, batch)["lce"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_no_positive_region_is_a_loss_of_zero_in_the_same_graph() -> None:
    host = small_host()
    batch = small_batch()
    outputs = host(batch)
    lce = task(host, normaliser="positives")
    bare = replace(outputs, rois=replace(outputs.rois, labels=torch.zeros_like(outputs.rois.labels)))
    terms = lce.losses(bare, batch)
    assert {float(value.detach()) for value in terms.values()} == {0.0}
    terms["lce"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and not p.grad.any() for p in lce.parameters())


def test_training_tells_sure_from_unsure_regions() -> None:
    """Regions of even number have exact targets, the others targets that nothing foretells."""
    host = small_host()
    host.roi_channels = 2
    lce = task(host, per_class=False, normaliser="positives")
    kind = torch.arange(200) % 2
    rois = torch.tensor([[0.0, 0.0, 10.0]]).expand(200, 3)
    feats = torch.nn.functional.one_hot(kind, 2).float()
    generator = torch.Generator().manual_seed(0)
    shift = torch.randn(200, 2, generator=generator) * 2 * kind[:, None]
    view = RoiView(rois, feats, torch.zeros(200, 4), torch.ones(200, dtype=torch.long), rois[:, 1:] + shift)
    outputs = Outputs(valid_mask=torch.ones(1, 20, dtype=torch.bool), rois=view)
    optimizer = torch.optim.Adam(lce.parameters(), lr=0.05)
    for _ in range(150):
        terms = lce.losses(outputs, small_batch())
        optimizer.zero_grad()
        terms["lce"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(terms["lce_sigma_error_corr"]) > 0.5
    log_variance = lce.log_variance(torch.eye(2))
    assert bool((log_variance[1] > log_variance[0] + 2).all())


def test_voting_needs_gaussians_of_its_own() -> None:
    with pytest.raises(ValueError, match="voting: .* set mean to own, or voting to false"):
        Config(voting=True, mean="host")


def detections(*rows: tuple[int, float, float, int]) -> Detections:
    video, start, end, label = (np.asarray(column) for column in zip(*rows, strict=True))
    segments = np.stack([start, end], axis=1).astype(np.float64)
    return Detections(("v", "w"), video, segments, label, np.linspace(1.0, 0.5, len(rows)))


def stored(lce: Lce, outputs: Outputs) -> list[RawOutput]:
    raw = lce.raw(outputs)
    return [
        RawOutput(video_id, start, 0.5, 80, 40.0, {name: tensor[i] for name, tensor in raw.items()})
        for i, (video_id, start) in enumerate((("v", 0.0), ("v", 4.0), ("w", 0.0)))
    ]


def test_detections_move_to_what_regions_are_sure_of() -> None:
    host = small_host()
    lce = task(host, voting=True, per_class=False, voting_sigma_t=0.02)
    with torch.no_grad():
        for head in (lce.mean, lce.log_variance):
            head.weight.zero_()
        lce.log_variance.bias.fill_(2 * math.log(2.0))
    rois = torch.tensor([[2.0, 0.0, 30.0], [0.0, 20.0, 40.0], [1.0, 14.0, 34.0], [0.0, 22.0, 42.0]])
    logits = torch.tensor([[9.0, 0, 0, 1], [9.0, 0, 1, 0], [9.0, 0, 1, 0], [9.0, 1, 0, 0]])
    view = RoiView(rois, torch.randn(4, 12), logits)
    raw = stored(lce, Outputs(valid_mask=torch.ones(3, 80, dtype=torch.bool), rois=view))
    assert raw[0].tensors["lce_segments"].tolist() == [[20.0, 40.0], [22.0, 42.0]]
    assert raw[2].tensors["lce_segments"].tolist() == [[0.0, 30.0], [0.0, 0.0]]
    assert raw[0].tensors["lce_sigmas"][0].tolist() == pytest.approx([0.1 * 2 * 20] * 2)
    before = detections((0, 10.0, 20.0, 1), (0, 10.0, 20.0, 0), (0, 10.0, 20.0, 2), (1, 30.0, 35.0, 2))
    config = Config(voting=True, voting_sigma_t=0.02)
    after = lce.rescore(before, raw, config)
    # class 1 of v: (10, 20) s from the first window and, 4 s later, (11, 21) s from the second; equally sure
    p = math.exp(-((1 - 9 / 11) ** 2) / 0.02)
    assert after.segments_s[0].tolist() == pytest.approx([(10 + p * 11) / (1 + p), (20 + p * 21) / (1 + p)])
    assert after.segments_s[1].tolist() == pytest.approx([11.0, 21.0]), "the only voter of its class"
    assert after.segments_s[2:].tolist() == before.segments_s[2:].tolist(), "nobody votes"
    assert np.array_equal(after.scores, before.scores)
    wider = lce.rescore(before, raw, replace(config, voting_sigma_t=0.05))
    p = math.exp(-((1 - 9 / 11) ** 2) / 0.05)
    assert wider.segments_s[0].tolist() == pytest.approx([(10 + p * 11) / (1 + p), (20 + p * 21) / (1 + p)])


def test_without_voting_nothing_is_stored_or_moved() -> None:
    lce, outputs = planted()
    assert lce.raw(outputs) == {}
    found = detections((0, 1.0, 2.0, 0))
    assert lce.rescore(found, [], Config()) is found
