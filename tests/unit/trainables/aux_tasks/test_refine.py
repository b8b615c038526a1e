"""Windows around regions and the correction of class logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from roi_host import SmallRoiHost, small_batch, small_host
from torch import Tensor

from trainables.aux_tasks.mac.config import Config as MacConfig
from trainables.aux_tasks.mac.task import Mac
from trainables.aux_tasks.refine.config import Config
from trainables.aux_tasks.refine.task import Refine
from trainables.aux_tasks.refine.windows import windows_scaled, windows_to_clip
from trainables.contracts import TaskBase
from trainables.entrypoints.detection import weighted_sum
from trainables.records import Outputs, RoiView


def pair(host: SmallRoiHost, num_classes: int = 3, **settings: Any) -> tuple[Refine, Mac]:
    torch.manual_seed(1)
    mac: Mac = MacConfig().build(host=host, feat_channels=6, num_classes=num_classes)
    refine: Refine = Config(**settings).build(host=host, feat_channels=6, num_classes=num_classes)
    refine.meet({"mac": mac})
    return refine, mac


@pytest.mark.parametrize(
    ("segment", "length", "num_windows", "expected"),
    [
        ((40, 60), 100, 5, [(40, 60), (30, 70), (20, 80), (10, 90), (0, 100)]),
        ((40, 60), 100, 3, [(40, 60), (20, 80), (0, 100)]),
        ((40, 60), 100, 1, [(40, 60)]),
        ((96, 192), 768, 5, [(96, 192), (72, 336), (48, 480), (24, 624), (0, 768)]),
    ],
)
def test_windows_from_the_region_to_the_clip(
    segment: tuple[int, int], length: int, num_windows: int, expected: list[tuple[int, int]]
) -> None:
    found = windows_to_clip(torch.tensor([segment]).double(), torch.tensor([length]), num_windows=num_windows)
    assert torch.allclose(found[0], torch.tensor(expected).double(), atol=1e-9)


@settings(max_examples=50)
@given(
    rows=st.lists(st.tuples(st.floats(0, 50), st.floats(1, 50), st.floats(0, 100)), min_size=1),
    num_windows=st.integers(1, 9),
    scales=st.lists(st.floats(0.1, 5.0), min_size=1, max_size=6),
)
def test_windows_agree_with_their_formulas(
    rows: list[tuple[float, float, float]], num_windows: int, scales: list[float]
) -> None:
    segments = torch.tensor([[start, start + size] for start, size, _ in rows], dtype=torch.float64)
    lengths = torch.tensor([start + size + room for start, size, room in rows], dtype=torch.float64)
    near_to_far = windows_to_clip(segments, lengths, num_windows=num_windows).tolist()
    scaled = windows_scaled(segments, lengths, scales=scales).tolist()
    for (start, end), length, steps, cut in zip(segments.tolist(), lengths.tolist(), near_to_far, scaled, strict=True):
        n = num_windows - 1
        slow = [[start - i * start / n, end + i * (length - end) / n] for i in range(num_windows)] if n else None
        for own, expected in zip(steps, slow or [[start, end]], strict=True):
            assert own == pytest.approx(expected, abs=1e-5)
        centre, half = (start + end) / 2, (end - start) / 2
        for own, scale in zip(cut, scales, strict=True):
            assert own == pytest.approx([max(0, centre - half * scale), min(length, centre + half * scale)])
    if num_windows > 1:
        assert all(steps[-1][0] == 0 for steps in near_to_far)
        assert [steps[-1][1] for steps in near_to_far] == lengths.tolist()


class Given(TaskBase):
    """A classifier of windows with given answers."""


def test_the_corrected_logits() -> None:
    host = small_host()
    host.num_logits, num_classes = 2, 1
    refine = Refine(host=host, num_classes=num_classes, settings=Config(n_t=2))
    with torch.no_grad():
        refine.correct.weight.copy_(torch.tensor([[0.1, 0, 0, 0.5, 0, 0], [0, 0, 0.2, 0, 0, -0.3]]))
    answers = {(4.0, 6.0): [0.0, 1.0], (0.0, 24.0): [2.0, -1.0], (0.0, 18.0): [5.0, 5.0]}
    refine._segment_logits = lambda outputs, segments: torch.tensor([answers[s, e] for _, s, e in segments.tolist()])
    view = RoiView(torch.tensor([[0.0, 4.0, 6.0]]), torch.zeros(1, 12), torch.tensor([[1.0, 2.0]]))
    batch = small_batch()
    corrected = refine._corrected(Outputs(valid_mask=batch.valid_mask, rois=view), view, batch)
    # with answers for the region first and the whole input second: u = (1, 2, 0, 1, 2, -1)
    assert corrected[0].tolist() == pytest.approx([1.6, 2.3], abs=1e-6)
    assert corrected.softmax(dim=1)[0].tolist() == pytest.approx([0.331812, 0.668188], abs=1e-6)
    assert view.logits.softmax(dim=1)[0].tolist() == pytest.approx([0.268941, 0.731059], abs=1e-6)


@pytest.mark.parametrize(
    ("num_classes", "shape", "count"), [(20, (21, 126), 2646), (157, (158, 948), 149784), (200, (201, 1206), 242406)]
)
def test_the_size_of_the_correction(num_classes: int, shape: tuple[int, int], count: int) -> None:
    host = small_host()
    host.num_logits = num_classes + 1
    weight = Refine(host=host, num_classes=num_classes, settings=Config()).correct.weight
    assert tuple(weight.shape) == shape
    assert weight.numel() == count
    assert float(weight.detach().std()) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("settings", [{}, {"n_t": 1}, {"windows": "scaled"}])
def test_without_weights_nothing_changes(background: bool, settings: Mapping[str, Any]) -> None:
    host = small_host(background=background)
    refine, _ = pair(host, **settings)
    torch.nn.init.zeros_(refine.correct.weight)
    batch = small_batch()
    outputs = host(batch)
    refined = refine.refine(outputs, batch)
    assert torch.equal(refined.rois.logits, outputs.rois.logits)
    assert torch.equal(refined.raw["logits"], outputs.raw["logits"])
    plain = host.losses(outputs, batch, ("cls",))["cls"]
    assert float(refine.losses(outputs, batch)["refine"].detach()) == pytest.approx(float(plain.detach()))


def test_at_inference_the_corrected_logits_are_what_is_stored() -> None:
    host = small_host()
    refine, _ = pair(host)
    batch = small_batch()
    outputs = host(batch)
    refined = refine.refine(outputs, batch)
    assert not torch.equal(refined.rois.logits, outputs.rois.logits)
    stored = refined.raw["logits"].flatten(0, 1)
    assert torch.equal(stored, refined.rois.logits.detach())
    assert not stored.requires_grad


def test_all_windows_and_their_order_reach_the_classifier() -> None:
    host = small_host()
    refine, mac = pair(host)
    batch = small_batch()
    outputs = host(batch)
    rois = outputs.rois.rois
    one_by_one = []
    for index, start, end in rois.tolist():
        length = float(batch.valid_mask[int(index)].sum())
        steps = [[index, start * (1 - i / 4), end * (1 - i / 4) + length * i / 4] for i in range(5)]
        one_by_one.append(mac.segment_logits(outputs, torch.tensor(steps)).flatten())
    rows: list[Tensor] = []
    ask = mac.segment_logits

    def counted(given: Outputs, segments: Tensor) -> Tensor:
        rows.append(segments)
        return ask(given, segments)

    refine._segment_logits = counted
    together = refine._window_logits(outputs, outputs.rois, batch)
    assert torch.allclose(together, torch.stack(one_by_one), atol=1e-5)
    assert sum(len(r) for r in rows) == 4 * len(rois) + 2, "the whole input is looked at once"


def test_only_one_of_the_two_losses_is_trained_on_where_the_settings_say_so() -> None:
    host = small_host()
    assert tuple(pair(host)[0].replaces()) == ()
    assert tuple(pair(host, loss="refined_only")[0].replaces()) == ("cls",)


def test_the_total_with_the_papers_weights() -> None:
    from trainables.aux_tasks.lce.config import Config as LceConfig

    weights = {"cls": 1.0, "reg": 1.0, **MacConfig().loss_weights(), **LceConfig().loss_weights()}
    values = {"cls": 1.2, "reg": 0.3, "mac": 0.8, "lce": -0.2}
    logged = dict.fromkeys(weights.keys() - values.keys(), 5.0)
    terms = {name: torch.tensor(value) for name, value in {**values, **logged}.items()}
    assert float(weighted_sum(terms, weights)) == pytest.approx(2.16, abs=1e-6)


def test_what_is_missing_is_said() -> None:
    host = small_host()
    batch = small_batch()
    alone: Refine = Config().build(host=host, feat_channels=6, num_classes=3)
    with pytest.raises(ValueError, match="refine needs task 'mac' beside it"):
        alone.losses(host(batch), batch)
    with pytest.raises(TypeError, match="refine needs the task 'mac' of its own paper, got Given"):
        alone.meet({"mac": Given()})
    with pytest.raises(ValueError, match="scales: "):
        Config(scales=())
