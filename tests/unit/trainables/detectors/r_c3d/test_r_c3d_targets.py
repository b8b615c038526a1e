"""Anchor targets and sampled regions against textbook loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainables.detectors.r_c3d.anchors import make_anchors
from trainables.detectors.r_c3d.matching import PaddedTargets, pad_rows, random_subset, tiou_with_targets
from trainables.detectors.r_c3d.regions import random_windows, sample_regions
from trainables.detectors.r_c3d.targets import anchor_targets, sample_anchors
from trainables.entrypoints.draws import JointDraws
from trainables.layers.offsets import decode_centre_length
from trainables.records import SegmentTargets

CPU = torch.device("cpu")


def padded(*inputs: list[tuple[float, float]]) -> PaddedTargets:
    targets = [SegmentTargets(torch.tensor(i).reshape(-1, 2), torch.arange(len(i))) for i in inputs]
    return PaddedTargets.of(targets, CPU)


def tiou(a: list[float], b: list[float], extra: int) -> float:
    inter = max(0.0, min(a[1], b[1]) + extra - max(a[0], b[0]))
    return inter / (a[1] - a[0] + b[1] - b[0] + 2 * extra - inter)


def textbook(
    anchors: list[list[float]], segments: list[list[float]], length: int, pos: float, neg: float, extra: int
) -> tuple[list[str], list[int]]:
    """Kind of every anchor, and its segment."""
    table = []
    for anchor in anchors:
        usable = anchor[0] >= 0 and anchor[1] <= length - extra
        table.append([tiou(anchor, s, extra) if usable else 0.0 for s in segments])
    best = [max((row[g] for row in table), default=0.0) for g in range(len(segments))]
    kinds, partners = [], []
    for anchor, row in zip(anchors, table, strict=True):
        top = max(row, default=0.0)
        partners.append(row.index(top) if row else 0)
        if anchor[0] < 0 or anchor[1] > length - extra:
            kinds.append("outside")
        elif any(v > 0 and v >= b - 1e-9 for v, b in zip(row, best, strict=True)) or (top >= pos and top > 0):
            kinds.append("positive")
        else:
            kinds.append("negative" if top < neg else "ignored")
    return kinds, partners


def test_golden_tiou_of_both_conventions() -> None:
    candidate, targets = torch.tensor([[0.0, 10.0]]), padded([(5, 15)])
    found = [float(tiou_with_targets(candidate, targets, inclusive=inclusive)) for inclusive in (False, True)]
    assert found == pytest.approx([1 / 3, 0.375])


def test_golden_inclusive_targets() -> None:
    anchors = make_anchors((1, 2), 8, samples_per_cell=8, inclusive=True, device=CPU)
    found = anchor_targets(anchors, padded([(8, 23)]), torch.tensor([64]), pos_tiou=0.7, neg_tiou=0.3, inclusive=True)
    assert anchors[found.positive[0]].tolist() == [[4, 19], [12, 27]]
    ignored = ~found.positive[0] & ~found.negative[0]
    assert anchors[ignored].tolist() == [[-4, 11], [8, 15], [16, 23], [52, 67]]
    assert int(found.negative.sum()) == 10
    assert found.offsets[0, found.positive[0]][0].tolist() == [0.25, 0]


SEGMENTS = st.lists(
    st.tuples(st.integers(0, 90), st.integers(1, 60)).map(lambda v: (v[0] / 2, (v[0] + v[1]) / 2)), max_size=4
)


@given(
    inputs=st.lists(st.tuples(SEGMENTS, st.integers(4, 40)), min_size=1, max_size=3),
    scales=st.sets(st.sampled_from([1, 2, 3, 5, 8]), min_size=1, max_size=4),
    stride=st.sampled_from([1, 4]),
    pos=st.sampled_from([0.0, 0.5, 0.7, 1.0]),
    neg=st.sampled_from([0.0, 0.3, 0.5]),
    inclusive=st.booleans(),
)
def test_anchor_targets_are_those_of_a_loop(
    inputs: list[tuple[list[tuple[float, float]], int]],
    scales: set[int],
    stride: int,
    pos: float,
    neg: float,
    inclusive: bool,
) -> None:
    anchors = make_anchors(sorted(scales), 10, samples_per_cell=stride, inclusive=inclusive, device=CPU)
    found = anchor_targets(
        anchors,
        padded(*(segments for segments, _ in inputs)),
        torch.tensor([length for _, length in inputs]),
        pos_tiou=pos,
        neg_tiou=neg,
        inclusive=inclusive,
    )
    for b, (segments, length) in enumerate(inputs):
        kinds, partners = textbook(anchors.tolist(), [list(s) for s in segments], length, pos, neg, int(inclusive))
        assert found.positive[b].tolist() == [kind == "positive" for kind in kinds]
        assert found.negative[b].tolist() == [kind == "negative" for kind in kinds]
        for n, kind in enumerate(kinds):
            if kind == "positive":
                start, end = decode_centre_length(anchors[n], found.offsets[b, n], inclusive=inclusive).tolist()
                torch.testing.assert_close(
                    torch.tensor([start, end - int(inclusive)]), torch.tensor(segments[partners[n]]), rtol=0, atol=1e-4
                )


def test_a_segment_that_no_anchor_touches_makes_none_positive() -> None:
    """In the release it makes all of them positive: each attains its best tIoU, 0."""
    anchors = make_anchors((2.0,), 4, samples_per_cell=1, inclusive=False, device=CPU)
    found = anchor_targets(anchors, padded([(20, 24)]), torch.tensor([4]), pos_tiou=0.7, neg_tiou=0.3, inclusive=False)
    assert not found.positive.any()
    assert int(found.negative.sum()) == 2


@given(seed=st.integers(0, 999), rows=st.integers(1, 4), width=st.integers(1, 30), count=st.integers(0, 12))
def test_random_subsets(seed: int, rows: int, width: int, count: int) -> None:
    torch.manual_seed(seed)
    among = torch.rand(rows, width) < 0.5
    chosen = random_subset(among, torch.full((rows,), count))
    assert not (chosen & ~among).any()
    assert chosen.sum(dim=1).tolist() == [min(count, n) for n in among.sum(dim=1).tolist()]


def test_every_member_is_chosen_equally_often() -> None:
    torch.manual_seed(0)
    among = torch.tensor([True, False, True, True, True]).expand(4000, 5)
    share = random_subset(among, torch.full((4000,), 2)).float().mean(dim=0)
    assert share[1] == 0
    assert ((share[among[0]] - 0.5).abs() < 0.04).all()  # five deviations


def shared_regions(proposals: list[int], rank: int, world_size: int) -> list[list[list[float]]]:
    """Regions that one of several processes samples of its rows of a batch of four, input by input.

    Args:
        proposals: how many each input has; the last input has no segment.
        rank: the process.
        world_size: their number.
    """
    rows = range(rank, 4, world_size)
    table = torch.zeros(0, 3)
    for place, number in enumerate(rows):
        ends = torch.rand(proposals[number], 2, generator=torch.Generator().manual_seed(number)).sort(dim=1).values * 40
        table = torch.cat([table, torch.cat([torch.full((len(ends), 1), float(place)), ends], dim=1)])
    annotated = [[(5.0, 25.0), (20.0, 30.0)], [(0.0, 10.0)], [(2.0, 9.0), (10.0, 31.0), (11.0, 30.0)], []]
    with JointDraws(torch.Generator().manual_seed(0), rank, world_size).of(len(rows), 4):
        found = regions(table, padded(*(annotated[n] for n in rows)), [40] * len(rows), batch=8)
        after = torch.rand(len(rows), 1)
    return [[[float(after[k]), *r[1:]] for r in found if r[0] == k] for k in range(len(rows))]


def test_the_regions_of_an_input_do_not_depend_on_the_others() -> None:
    """The last input draws windows of its own; what is drawn afterwards is the same, too (first column)."""
    counts = [30, 12, 20, 0]
    alone = shared_regions(counts, 0, 1)
    assert [len(alone[0]), len(alone[3])] == [8, 8], "some of many, and windows of its own"
    for world_size in (2, 3, 4):
        for rank in range(world_size):
            assert shared_regions(counts, rank, world_size) == alone[rank::world_size]
    other = shared_regions([30, 50, 20, 9], 0, 1)
    assert [other[0], other[2], other[3]] == [alone[0], alone[2], alone[3]]
    assert other[1] != alone[1]


def test_sampled_anchors_are_at_most_half_positive_and_filled_up() -> None:
    torch.manual_seed(0)
    anchors = make_anchors((2.0, 3.0, 4.0), 60, samples_per_cell=1, inclusive=False, device=CPU)
    targets = anchor_targets(
        anchors,
        padded([(10, 14)], [], [(float(k), k + 3.0) for k in range(55)]),
        torch.tensor([60, 60, 60]),
        pos_tiou=0.7,
        neg_tiou=0.3,
        inclusive=False,
    )
    sampled = sample_anchors(targets, 16)
    positive, negative = sampled.positive, sampled.negative
    available = targets.positive.sum(dim=1)
    assert 0 < available[0] < 8 < available[2]
    assert positive.sum(dim=1).tolist() == [int(available[0]), 0, 8]
    assert (negative.sum(dim=1)[:2] + positive.sum(dim=1)[:2]).tolist() == [16, 16]
    assert not (positive & ~targets.positive).any()
    assert not (negative & ~targets.negative).any()


def regions(proposals: Tensor, targets: PaddedTargets, lengths: list[int], **changes: float) -> list[list[float]]:
    values = {"batch": 12, "fg_tiou": 0.5, "bg_lo": 0.1, "fg_fraction": 0.25} | changes
    found = sample_regions(
        proposals.double(),
        targets,
        torch.tensor(lengths),
        min_samples=1.0,
        inclusive=False,
        **values,  # type: ignore[arg-type]
    )
    return torch.cat([found.rois, found.labels[:, None].double(), found.matched], dim=1).tolist()


@given(
    seed=st.integers(0, 9999), segments=st.lists(SEGMENTS, min_size=1, max_size=3), bg_lo=st.sampled_from([0.0, 0.1])
)
def test_regions_are_what_a_loop_says_they_are(
    seed: int, segments: list[list[tuple[float, float]]], bg_lo: float
) -> None:
    torch.manual_seed(seed)
    count = torch.randint(0, 30, (len(segments),))
    ends = (torch.rand(int(count.sum()), 2) * 60).sort(dim=1).values + torch.tensor([0.0, 1e-3])
    proposals = torch.cat([torch.arange(len(segments)).repeat_interleave(count)[:, None], ends], dim=1).double()
    rows = regions(proposals, padded(*segments), [70] * len(segments), bg_lo=bg_lo)
    for b, own in enumerate(segments):
        candidates = [r[1:] for r in proposals.tolist() if r[0] == b] + [list(s) for s in own]
        best = [max((tiou(c, list(s), 0) for s in own), default=0.0) for c in candidates]
        num_fg, num_bg = sum(v >= 0.5 for v in best), sum(bg_lo <= v < 0.5 for v in best)
        mine = [r for r in rows if r[0] == b]
        taken = min(3, num_fg)
        if num_fg + num_bg == 0:  # random windows, so that the input is learnt from
            assert len(mine) == 12
            assert all(r[3] == 0 and 0 <= r[1] < r[2] <= 70 for r in mine)
            continue
        assert sum(r[3] > 0 for r in mine) == taken
        assert len(mine) == taken + min(12 - taken, num_bg)
        for _, start, end, label, *matched in mine:
            assert [start, end] in candidates
            overlaps = [tiou([start, end], list(s), 0) for s in own]
            if label > 0:
                partner = int(label) - 1
                assert overlaps[partner] == max(overlaps) >= 0.5
                assert matched == list(own[partner])
            else:
                assert bg_lo <= max(overlaps, default=0.0) < 0.5


def test_annotated_segments_are_candidates_where_nothing_is_proposed() -> None:
    rows = regions(torch.zeros(0, 3), padded([(3, 9)], []), [20, 20])
    assert rows[0] == [0, 3, 9, 1, 3, 9]
    assert [r[0] for r in rows] == [0] + [1] * 12


@given(length=st.integers(1, 50), least=st.sampled_from([1.0, 8.0]))
def test_random_windows_lie_inside(length: int, least: float) -> None:
    windows = random_windows(torch.tensor([length, 50]), 40, least)
    size = windows[..., 1] - windows[..., 0]
    assert (windows[..., 0] >= 0).all()
    assert (windows[0, :, 1] <= length + 1e-9).all()
    assert (size[0] >= min(least, length) - 1e-9).all()
    assert (size[1] >= least - 1e-9).all()


def test_rows_side_by_side() -> None:
    rows = torch.tensor([[1.0], [2.0], [3.0]])
    together, real = pad_rows(rows, torch.tensor([0, 2, 2]), 3)
    assert together[..., 0].tolist() == [[1, 0], [0, 0], [2, 3]]
    assert real.tolist() == [[True, False], [False, False], [True, True]]
    empty, none = pad_rows(rows[:0], torch.zeros(0).long(), 2)
    assert empty.shape == (2, 1, 1)
    assert not none.any()
