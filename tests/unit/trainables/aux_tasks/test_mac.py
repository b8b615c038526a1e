"""Windows, their soft labels, and the task that learns them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from roi_host import small_batch, small_host
from scipy.stats import kstest
from torch import Tensor

from trainables.aux_tasks.mac.config import Config
from trainables.aux_tasks.mac.labels import covered_shares, intersects, soft_labels
from trainables.aux_tasks.mac.task import Mac
from trainables.aux_tasks.mac.windows import NUM_DRAWS, Sampler, draw_windows
from trainables.entrypoints.draws import JointDraws
from trainables.losses.soft_labels import soft_cross_entropy
from trainables.records import Batch

THREE = (torch.tensor([[10.0, 40.0], [30.0, 60.0], [35.0, 50.0]]), torch.tensor([0, 1, 0]))


def label(window: tuple[float, float], annotated: tuple[Tensor, Tensor], num_classes: int, **how: Any) -> list[float]:
    how = {"transform": "sqrt", "normaliser": "sum", **how}
    return soft_labels(torch.tensor([window]), *annotated, num_classes=num_classes, **how)[0].tolist()


@pytest.mark.parametrize(
    ("window", "shares", "sqrt", "area"),
    [
        ((20, 70), (0.2, 0.6, 0.6, 0), (0.224009, 0.387995, 0.387995, 0), (0.142857, 0.428571, 0.428571, 0)),
        ((0, 100), (0.5, 0.4, 0.3, 0), (0.374669, 0.335114, 0.290217, 0), (0.416667, 1 / 3, 0.25, 0)),
        ((35, 50), (0, 1, 1, 0), (0, 0.5, 0.5, 0), (0, 0.5, 0.5, 0)),
        ((0, 12), (5 / 6, 1 / 6, 0, 0), (0.690983, 0.309017, 0, 0), (5 / 6, 1 / 6, 0, 0)),
    ],
)
def test_labels_of_overlapping_segments(
    window: tuple[float, float], shares: tuple[float, ...], sqrt: tuple[float, ...], area: tuple[float, ...]
) -> None:
    covered = covered_shares(torch.tensor([window]), *THREE, num_classes=3)[0].tolist()
    assert covered == pytest.approx(shares, abs=1e-9)
    assert label(window, THREE, 3) == pytest.approx(sqrt, abs=1e-6)
    assert label(window, THREE, 3, transform="area") == pytest.approx(area, abs=1e-6)
    assert bool(intersects(torch.tensor([window]), THREE[0]))


def test_a_window_beside_all_segments_is_refused() -> None:
    assert intersects(torch.tensor([[70.0, 90.0], [60.0, 61.0], [59.0, 61.0]]), THREE[0]).tolist() == [
        False,
        False,
        True,
    ]


def test_labels_where_the_printed_algorithm_fails() -> None:
    two = (torch.tensor([[0.0, 64.0], [64.0, 100.0]]), torch.tensor([0, 1]))
    assert label((0, 100), two, 2) == pytest.approx([0, 4 / 7, 3 / 7], abs=1e-6)
    inside = (torch.tensor([[0.0, 40.0]]), torch.tensor([0]))
    assert label((20, 30), inside, 1) == pytest.approx([0, 1], abs=1e-9)
    twice = (torch.tensor([[0.0, 10.0], [50.0, 60.0]]), torch.tensor([0, 0]))
    assert label((0, 100), twice, 1) == pytest.approx([2 / 3, 1 / 3], abs=1e-6)


def test_other_transforms_and_normalisers() -> None:
    plus_one = label((0, 100), THREE, 3, transform="area_plus_one")
    assert plus_one == pytest.approx([1.5 / 4.2, 1.4 / 4.2, 1.3 / 4.2, 0.0])
    weights = [math.exp(math.sqrt(q)) for q in (0.5, 0.4, 0.3, 0.0)]
    assert label((0, 100), THREE, 3, normaliser="softmax") == pytest.approx([w / sum(weights) for w in weights])


def test_an_empty_window_is_named() -> None:
    with pytest.raises(ValueError, match=r"windows: row 1 is \[30.0, 30.0\]"):
        covered_shares(torch.tensor([[10.0, 20.0], [30.0, 30.0]]), *THREE, num_classes=3)


def slow_share(window: list[float], segments: list[list[float]]) -> float:
    """Share of a window that the union of some segments covers, by merging them in order."""
    total, reached = 0.0, window[0]
    for start, end in sorted(segments):
        low, high = max(start, reached), min(end, window[1])
        if high > low:
            total += high - low
            reached = high
    return total / (window[1] - window[0])


spans = st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda t: [float(t[0]), float(t[0] + t[1])])


@settings(max_examples=60)
@given(
    segments=st.lists(st.tuples(spans, st.integers(0, 3)), min_size=1, max_size=8), windows=st.lists(spans, min_size=1)
)
def test_shares_agree_with_merging_intervals(
    segments: list[tuple[list[float], int]], windows: list[list[float]]
) -> None:
    ends, labels = torch.tensor([s for s, _ in segments]), torch.tensor([k for _, k in segments])
    fast = covered_shares(torch.tensor(windows), ends, labels, num_classes=4)
    for row, window in zip(fast.tolist(), windows, strict=True):
        slow = [slow_share(window, [s for s, k in segments if k == own]) for own in range(4)]
        assert row[1:] == pytest.approx(slow, abs=1e-12)
        assert row[0] == pytest.approx(1 - slow_share(window, [s for s, _ in segments]), abs=1e-12)
    touching = intersects(torch.tensor(windows), ends)
    assert touching.tolist() == [slow_share(w, [s for s, _ in segments]) > 0 for w in windows]


@settings(max_examples=40)
@given(
    segments=st.lists(spans, min_size=1, max_size=5),
    extra=st.integers(0, 50),
    sampler=st.sampled_from(["start_length", "centre_length"]),
    min_len=st.floats(0.5, 30.0),
    seed=st.integers(0, 1000),
)
def test_drawn_windows_are_inside_long_enough_and_touch_an_action(
    segments: list[list[float]], extra: int, sampler: Sampler, min_len: float, seed: int
) -> None:
    torch.manual_seed(seed)
    ends = torch.tensor(segments)
    length = float(ends.max()) + extra
    windows = draw_windows(ends, length, torch.rand(NUM_DRAWS, 16), sampler=sampler, min_len=min_len)
    assert windows.shape == (16, 2)
    assert float(windows.min()) >= 0
    assert float(windows.max()) <= length
    assert bool(intersects(windows, ends).all())
    shortest = min(min_len, length, float((ends[:, 1] - ends[:, 0]).min()))  # the way out may be a whole short action
    assert bool((windows[:, 1] - windows[:, 0] >= shortest - 1e-4).all())
    assert bool(
        (covered_shares(windows, ends, torch.zeros(len(ends), dtype=torch.long), num_classes=1)[:, 1] > 0).all()
    )


def test_starts_and_lengths_are_uniform_where_nothing_is_refused() -> None:
    torch.manual_seed(0)
    whole = torch.tensor([[0.0, 100.0]])
    windows = draw_windows(whole, 100.0, torch.rand(NUM_DRAWS, 4000), sampler="start_length", min_len=8.0).double()
    start, size = windows[:, 0], windows[:, 1] - windows[:, 0]
    assert kstest((start / 92).numpy(), "uniform").pvalue > 0.01
    assert kstest(((size - 8) / (100 - start - 8)).numpy(), "uniform").pvalue > 0.01
    centred = draw_windows(whole, 100.0, torch.rand(NUM_DRAWS, 4000), sampler="centre_length", min_len=8.0).double()
    inner = centred[(centred[:, 0] > 0) & (centred[:, 1] < 100)]
    assert len(inner) > 1000
    assert float((inner[:, 1] - inner[:, 0]).min()) >= 8 - 1e-4
    cut = centred[(centred[:, 0] == 0) | (centred[:, 1] == 100)]
    assert float((cut[:, 1] - cut[:, 0]).min()) >= 8 - 1e-4


def test_a_hopeless_search_ends_at_an_action() -> None:
    torch.manual_seed(0)
    action = torch.tensor([[99_990.0, 99_990.5]])
    windows = draw_windows(action, 1e5, torch.rand(NUM_DRAWS, 200), sampler="start_length", min_len=1.0)
    fallen_back = windows[:, 0] >= 99_989.5 - 1e-2
    assert int(fallen_back.sum()) > 100
    found = windows[fallen_back]
    assert bool((found[:, 0] <= 99_990.0).all())
    assert bool((found[:, 1] >= 99_990.5).all())
    assert bool((found[:, 1] <= 99_991.0 + 1e-2).all())


def slow_expansion(segments: list[list[float]], length: float) -> list[list[float]]:
    found = [[0.0, length]]
    for start, end in segments:
        factor = 2.0
        while True:
            half = (end - start) / 2 * factor
            window = [max((start + end) / 2 - half, 0.0), min((start + end) / 2 + half, length)]
            if window == [0.0, length]:
                break
            found.append(window)
            factor *= 2
    return found


@settings(max_examples=40)
@given(segments=st.lists(spans, min_size=1, max_size=5), extra=st.integers(0, 50))
def test_expansion_agrees_with_a_loop(segments: list[list[float]], extra: int) -> None:
    length = max(end for _, end in segments) + extra
    fast = draw_windows(torch.tensor(segments), length, torch.rand(NUM_DRAWS, 1), sampler="gt_expand", min_len=1.0)
    assert sorted(fast.tolist()) == sorted(slow_expansion(segments, length))


def test_loss_on_soft_labels() -> None:
    logits = torch.tensor([[0.0, math.log(2), 0.0, 0.0], [0.0] * 4], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.25, 0.75, 0.0]], dtype=torch.float64)
    loss, divergence = soft_cross_entropy(logits, targets)
    assert float(loss.detach()) == pytest.approx(1.324579, abs=1e-6)
    assert float(divergence.detach()) == pytest.approx(1.324579 - (0.693147 + 0.562335) / 2, abs=1e-6)
    first, above = soft_cross_entropy(logits[:1], targets[:1])
    assert float(first.detach()) == pytest.approx(1.262864, abs=1e-6)
    assert float(above.detach()) == pytest.approx(1.262864 - 0.693147, abs=1e-6)
    (gradient,) = torch.autograd.grad(first, logits)
    assert gradient[0].tolist() == pytest.approx([-0.3, -0.1, 0.2, 0.2], abs=1e-9)
    assert float(soft_cross_entropy(targets.log().clamp(min=-60), targets)[1]) == pytest.approx(0.0, abs=1e-9)
    assert torch.autograd.gradcheck(lambda t: soft_cross_entropy(t, targets)[0], (logits,))


def task(**settings: Any) -> tuple[Any, Mac]:
    host = small_host()
    torch.manual_seed(1)
    built: Mac = Config(**settings).build(host=host, feat_channels=6, num_classes=3)
    return host, built


def test_windows_lie_in_the_part_that_is_no_padding() -> None:
    _, mac = task(windows=40)
    batch = small_batch()
    torch.manual_seed(0)
    windows, targets = mac._draw(batch)
    assert windows.shape == (80, 3)
    assert windows[:, 0].tolist() == [0.0] * 40 + [1.0] * 40
    assert float(windows[:40, 2].max()) > 18, "the first input is longer"
    assert float(windows[40:, 2].max()) <= 18
    assert torch.allclose(targets.sum(dim=1), torch.ones(80, dtype=torch.float64))


def test_the_same_seed_draws_the_same_windows() -> None:
    _, mac = task()
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(mac._draw(small_batch())[0])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def shared_windows(batch: Batch, rank: int, world_size: int, sampler: str = "start_length") -> Tensor:
    """What one of several processes draws for its rows of a batch of two; the input's own number stays."""
    _, mac = task(windows=4, sampler=sampler)
    rows = range(rank, 2, world_size)
    own = replace(
        batch,
        video_ids=tuple(batch.video_ids[i] for i in rows),
        valid_mask=batch.valid_mask[rank::world_size],
        segments=(batch.segments or ())[rank::world_size],
    )
    with JointDraws(torch.Generator().manual_seed(0), rank, world_size).of(len(rows), 2):
        windows, _ = mac._draw(own)
    return torch.cat([windows[:, :1] * world_size + rank, windows[:, 1:]], dim=1)


@pytest.mark.parametrize("sampler", ["start_length", "centre_length", "gt_expand"])
def test_the_windows_of_an_input_do_not_depend_on_the_others(sampler: str) -> None:
    """Neither on which process has them, nor on whether they have segments, nor on what else was drawn."""
    alone = shared_windows(small_batch(), 0, 1, sampler)
    torch.manual_seed(3)
    first, second = (shared_windows(small_batch(), rank, 2, sampler) for rank in (0, 1))
    assert torch.equal(torch.cat([first, second]), alone)
    assert torch.equal(shared_windows(small_batch(empty_second=True), 0, 1, sampler), first)
    assert len(shared_windows(small_batch(empty_second=True), 1, 2, sampler)) == 0


@pytest.mark.parametrize("sampler", ["start_length", "gt_expand"])
def test_the_loss_is_a_mean_over_as_many_windows_as_it_says(sampler: str) -> None:
    _, mac = task(windows=7, sampler=sampler)
    for batch in (small_batch(), small_batch(empty_second=True)):
        windows, _ = mac._draw(batch)
        assert mac.loss_counts(mac._host[0](batch), batch) == {"mac": len(windows), "mac_divergence": len(windows)}


def test_the_least_window_counts_cells_of_the_host() -> None:
    host, _ = task()
    host.samples_per_cell = 8
    coarse = Mac(host=host, num_classes=3, settings=Config(windows=50, min_len=1.5))
    torch.manual_seed(0)
    windows, _ = coarse._draw(small_batch())
    assert float((windows[:, 2] - windows[:, 1]).min()) >= 12 - 1e-4


def test_an_input_without_segments_adds_nothing_and_keeps_the_graph() -> None:
    host, mac = task(windows=7)
    half = small_batch(empty_second=True)
    torch.manual_seed(0)
    windows, _ = mac._draw(half)
    assert windows[:, 0].tolist() == [0.0] * 7
    none = small_batch(empty_second=True)
    bare = type(none)(
        video_ids=none.video_ids, valid_mask=none.valid_mask, seconds_per_sample=none.seconds_per_sample,
        start_s=none.start_s, feats=none.feats, segments=(none.segments[1],) * 2,
    )  # fmt: skip
    terms = mac.losses(host(bare), bare)
    assert {name: float(value.detach()) for name, value in terms.items()} == {"mac": 0.0, "mac_divergence": 0.0}
    terms["mac"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and not p.grad.any() for p in mac.parameters())


def test_own_trunks_start_from_the_hosts_weights_and_shared_ones_are_the_hosts() -> None:
    host, own = task()
    assert all(torch.equal(a, b) for a, b in zip(own.trunk.parameters(), host.trunk.parameters(), strict=True))
    assert not {id(p) for p in own.parameters()} & {id(p) for p in host.parameters()}
    _, shared = task(trunk="shared")
    assert {name for name, _ in shared.named_parameters()} == {"classify.weight", "classify.bias"}
    batch = small_batch()
    segments = torch.tensor([[0.0, 3.0, 9.0], [1.0, 2.0, 5.0]])
    own.classify.load_state_dict(shared.classify.state_dict())
    outputs = host(batch)
    assert torch.allclose(own.segment_logits(outputs, segments), shared.segment_logits(outputs, segments))


def test_training_brings_the_divergence_down() -> None:
    host, mac = task(windows=32)
    batch = small_batch()
    optimizer = torch.optim.Adam([*host.parameters(), *mac.parameters()], lr=0.02)
    history = []
    for _ in range(60):
        terms = mac.losses(host(batch), batch)
        optimizer.zero_grad()
        terms["mac"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        history.append(float(terms["mac_divergence"]))
    assert min(history) >= -1e-6
    assert sum(history[-10:]) < 0.3 * sum(history[:10])
