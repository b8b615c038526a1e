"""The parts of KT-MGFN as tasks of other hosts: oic, oae, kt_mmd."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.aux_tasks.kt_mmd.config import Config as KtMmdConfig
from trainables.aux_tasks.oae.config import Config as OaeConfig
from trainables.aux_tasks.oic.config import Config as OicConfig
from trainables.config import Sampling
from trainables.detections import Detections
from trainables.layers.cas import normalise_cas
from trainables.records import Batch, Outputs, RawOutput, SegmentView


def build(config: Any, feat_channels: int = 4, num_classes: int = 2) -> Any:
    torch.manual_seed(0)
    return config.build(host=None, feat_channels=feat_channels, num_classes=num_classes)


def plateau(start: int, end: int, length: int = 20) -> Tensor:
    """(1, 2, T) a sequence whose first class is 1 in [start, end) and 0 elsewhere."""
    cas = torch.zeros(1, 2, length)
    cas[0, 0, start:end] = 1.0
    cas[0, 1, 0] = 1.0
    return cas


def batch(length: int = 20) -> Batch:
    return Batch(
        video_ids=("v",),
        valid_mask=torch.ones(1, length, dtype=torch.bool),
        seconds_per_sample=torch.ones(1),
        start_s=torch.zeros(1),
        video_labels=torch.tensor([[1.0, 0.0]]),
    )


def host(cas: Tensor, ends: Tensor, scores: list[float] | None = None) -> Outputs:
    view = SegmentView(
        input_index=torch.zeros(len(ends), dtype=torch.long),
        ends_grid=ends,
        labels=torch.zeros(len(ends), dtype=torch.long),
        scores=torch.tensor(scores or [1.0] * len(ends)),
    )
    return Outputs(valid_mask=torch.ones(1, cas.shape[2], dtype=torch.bool), cas_logits=cas, segments=view)


def test_oic_moves_a_segment_to_the_edges_of_the_evidence() -> None:
    task = build(OicConfig())
    ends = torch.tensor([[6.5, 13.5]], requires_grad=True)  # the evidence is [8, 12)
    value = task.losses(host(plateau(8, 12), ends), batch())["oic_task"]
    value.backward()
    assert 0 < float(value.detach()) < 1
    assert ends.grad is not None
    with torch.no_grad():
        better = task.losses(host(plateau(8, 12), (ends - ends.grad).requires_grad_()), batch())["oic_task"]
    assert float(better) < float(value.detach())


def test_oic_golden_value() -> None:
    a = torch.tensor([0, 0, 0.1, 0.9, 1, 0.8, 0.2, 0, 0, 0])[None, None]
    value = build(OicConfig(), num_classes=1).losses(host(a, torch.tensor([[3.0, 6.0]], requires_grad=True)), batch(10))
    assert value["oic_task"].item() == pytest.approx(1 - 0.75, abs=1e-6)


def test_oic_takes_the_best_segments_of_each_input() -> None:
    ends = torch.tensor([[8.0, 12.0], [0.0, 3.0]], requires_grad=True)
    task = build(OicConfig(top=1))
    assert task.losses(host(plateau(8, 12), ends, [0.9, 0.1]), batch())["oic_task"].item() == pytest.approx(0.0)
    assert task.losses(host(plateau(8, 12), ends, [0.1, 0.9]), batch())["oic_task"].item() == pytest.approx(1.0)


def test_oic_reaches_the_evidence_only_when_told() -> None:
    for reach in (False, True):
        cas = (torch.randn(1, 2, 20, generator=torch.Generator().manual_seed(1))).requires_grad_()
        ends = torch.tensor([[5.3, 11.2]], requires_grad=True)
        build(OicConfig(grad_to_cas=reach)).losses(host(cas, ends), batch())["oic_task"].backward()
        assert (cas.grad is not None and bool(cas.grad.abs().sum() > 0)) is reach


def test_oic_is_a_constant_beside_a_frozen_regression_and_zero_without_segments() -> None:
    task = build(OicConfig())
    frozen = task.losses(host(plateau(8, 12), torch.tensor([[6.5, 13.5]])), batch())["oic_task"]
    assert not frozen.requires_grad
    assert float(frozen) > 0
    none = host(plateau(8, 12).requires_grad_(), torch.zeros(0, 2, requires_grad=True))
    assert task.losses(none, batch())["oic_task"].item() == 0.0


def raw_of(cas: Tensor, start_s: float = 0.0, num_samples: int = 20) -> RawOutput:
    return RawOutput("v", start_s, 0.5, num_samples, 20.0, {"oic_cas": cas[0]})


def test_oic_rescores_by_its_contrast() -> None:
    config = OicConfig(eta=0.5)
    task = build(config)
    cas = plateau(8, 12)
    stored = task.raw(host(cas, torch.zeros(0, 2)))
    assert torch.equal(stored["oic_cas"], normalise_cas(cas, torch.ones(1, 20, dtype=torch.bool)))
    found = Detections(
        ("v",), np.zeros(3, np.int64), np.array([[4.0, 6.0], [0.0, 2.0], [3.0, 6.0]]), np.array([0, 0, 0]), np.ones(3)
    )
    scored = task.rescore(found, [raw_of(cas)], config)
    # [8, 12): L = -1; [0, 4): no evidence inside or around; [6, 12): inside 2/3, around 0
    assert scored.scores.tolist() == pytest.approx([2**0.5, 1.0, (1 + 2 / 3) ** 0.5])
    assert found.scores.tolist() == [1.0, 1.0, 1.0]


def test_oic_rescores_from_the_window_that_holds_the_detection() -> None:
    config = OicConfig(eta=1.0)
    task = build(config)
    windows = [raw_of(torch.zeros(1, 2, 20)), raw_of(plateau(2, 6), start_s=8.0)]
    found = Detections(("v",), np.array([0]), np.array([[9.0, 11.0]]), np.array([0]), np.ones(1))
    assert task.rescore(found, windows, config).scores.tolist() == pytest.approx([2.0])
    elsewhere = replace(found, segments_s=np.array([[30.0, 31.0]]))
    assert task.rescore(elsewhere, windows, config).scores.tolist() == [1.0]


def test_oic_leaves_confidences_alone_without_a_power() -> None:
    config = OicConfig(eta=0.0)
    task = build(config)
    assert task.raw(host(plateau(8, 12), torch.zeros(0, 2))) == {}
    found = Detections(("v",), np.array([0]), np.array([[1.0, 2.0]]), np.array([0]), np.ones(1))
    assert task.rescore(found, [], config) is found


def oae_host(cas: Tensor, feats: Tensor) -> Outputs:
    valid = torch.ones(1, 20, dtype=torch.bool)
    return Outputs(valid_mask=valid, feats=feats, cas_logits=cas, raw={"cas": normalise_cas(cas, valid)})


def test_oae_sees_no_feature_where_the_host_has_found_something() -> None:
    task, cas = build(OaeConfig()), plateau(8, 12)
    feats = torch.randn(1, 4, 20, generator=torch.Generator().manual_seed(2)).requires_grad_()
    task.losses(oae_host(cas, feats), batch())["oae"].backward()
    assert feats.grad is not None
    assert float(feats.grad[:, :, 8:12].abs().sum()) == 0.0
    assert float(feats.grad[:, :, :7].abs().sum()) > 0


def test_oae_widens_the_sequence_that_inference_reads() -> None:
    task, cas = build(OaeConfig()), plateau(8, 12)
    feats = torch.randn(1, 4, 20, generator=torch.Generator().manual_seed(2))
    outputs = oae_host(cas, feats)
    with torch.no_grad():
        wider = task.refine(outputs, batch()).raw["cas"]
    assert bool((wider >= outputs.raw["cas"]).all())
    assert float(wider.sum()) > float(outputs.raw["cas"].sum())
    assert float(wider.max()) <= 1.0
    other = replace(outputs, raw={})
    assert task.refine(other, batch()) is other


def clips(value: float) -> Batch:
    return replace(batch(), video_ids=("c",), feats=torch.full((1, 4, 20), value))


def test_kt_mmd_is_zero_where_videos_look_like_clips_and_grows_with_the_distance() -> None:
    task = build(KtMmdConfig(n_trimmed=1))
    asked = []

    def inputs(split: str, sampling: Sampling) -> list[Batch]:
        asked.append((split, sampling.length))
        return [clips(1.0)]

    task.begin_epoch(lambda b: Outputs(b.valid_mask, feats=b.feats), inputs)
    assert asked == [("trimmed", 32)]
    valid = torch.ones(2, 20, dtype=torch.bool)
    both = replace(batch(), valid_mask=valid, video_labels=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    values = []
    for distance in (0.0, 0.5, 1.0):
        feats = torch.stack([torch.full((4, 20), 1.0 + distance), torch.full((4, 20), -1.0)])
        values.append(float(task.losses(Outputs(valid, feats=feats), both)["kt_mmd"]))
    assert values[0] == pytest.approx(0.0, abs=1e-6)
    assert values[0] < values[1] < values[2]


def test_kt_mmd_says_what_is_missing() -> None:
    task = build(KtMmdConfig())
    with pytest.raises(ValueError, match="no trimmed clip"):
        task.begin_epoch(lambda b: Outputs(b.valid_mask, feats=b.feats), lambda split, sampling: [])
    with pytest.raises(ValueError, match="bank is empty"):
        task.losses(Outputs(batch().valid_mask, feats=torch.zeros(1, 4, 20)), batch())
