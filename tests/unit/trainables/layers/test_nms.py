"""Suppression over many groups at once, against one group at a time in plain Python."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.layers import greedy, groups
from trainables.layers.nms import suppress

FOUR = torch.tensor([[0, 10], [1, 10], [6, 12], [20, 30]], dtype=torch.float64)
FOUR_SCORES = torch.tensor([0.9, 0.8, 0.7, 0.6], dtype=torch.float64)
THREE = torch.tensor([[0, 10], [1, 11], [20, 30]], dtype=torch.float64)
THREE_SCORES = torch.tensor([0.9, 0.8, 0.7], dtype=torch.float64)

RULES: list[dict[str, Any]] = [
    {"decay": "hard", "tiou_threshold": 0.5},
    {"decay": "linear", "tiou_threshold": 0.3},
    {"decay": "gaussian", "sigma": 0.5},
    {"decay": "truncated_gaussian", "tiou_threshold": 0.4, "sigma": 0.75},
    {"decay": "truncated_gaussian", "tiou_threshold": 0.1, "threshold_slope": 0.05, "sigma": 0.5},
]


def _one_group(n: int) -> Tensor:
    return torch.zeros(n, dtype=torch.long)


@pytest.mark.parametrize(
    ("rule", "order", "final"),
    [
        ({"decay": "gaussian", "sigma": 0.5}, [0, 2, 1], [0.9, 0.7, 0.209719]),
        ({"decay": "gaussian", "sigma": 0.85}, [0, 2, 1], [0.9, 0.7, 0.363965]),
        ({"decay": "linear", "tiou_threshold": 0.5}, [0, 2, 1], [0.9, 0.7, 0.145455]),
        ({"decay": "hard", "tiou_threshold": 0.5}, [0, 2], [0.9, 0.7]),
        # 0.5 + 0.03 * 10 is below the tIoU of 0.818182, 0.5 + 0.04 * 10 above
        (
            {"decay": "truncated_gaussian", "tiou_threshold": 0.5, "threshold_slope": 0.03, "sigma": 0.5},
            [0, 2, 1],
            [0.9, 0.7, 0.209719],
        ),
        (
            {"decay": "truncated_gaussian", "tiou_threshold": 0.5, "threshold_slope": 0.04, "sigma": 0.5},
            [0, 1, 2],
            [0.9, 0.8, 0.7],
        ),
        ({"decay": "gaussian", "sigma": 0.5, "min_score": 0.21}, [0, 2], [0.9, 0.7]),
        ({"decay": "gaussian", "sigma": 0.5, "max_num": 1}, [0], [0.9]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(rule: dict[str, Any], order: list[int], final: list[float], dtype: torch.dtype) -> None:
    kept, scores = suppress(THREE.to(dtype), THREE_SCORES.to(dtype), _one_group(3), **rule)
    assert scores.dtype == dtype
    assert kept.tolist() == order
    assert scores.tolist() == pytest.approx(final, abs=1e-6)


@pytest.mark.parametrize(
    ("theta", "order", "final"),
    [(0.5, [0, 2, 3, 1], [0.9, 0.7, 0.6, 0.271676]), (0.3, [0, 2, 3, 1], [0.9, 0.603612, 0.6, 0.227762])],
)
def test_truncated_gaussian_golden(theta: float, order: list[int], final: list[float]) -> None:
    kept, scores = suppress(
        FOUR, FOUR_SCORES, _one_group(4), decay="truncated_gaussian", tiou_threshold=theta, sigma=0.75
    )
    assert kept.tolist() == order
    assert scores.tolist() == pytest.approx(final, abs=1e-6)


class Candidate(NamedTuple):
    start: float
    end: float
    score: float


def _tiou(a: Candidate, b: Candidate) -> float:
    inter = max(0.0, min(a.end, b.end) - max(a.start, b.start))
    union = (a.end - a.start) + (b.end - b.start) - inter
    return inter / union if union > 0 else 0.0


def _factor(
    pick: Candidate,
    other: Candidate,
    *,
    decay: str,
    tiou_threshold: float = 0.0,
    threshold_slope: float = 0.0,
    sigma: float = 1.0,
) -> float:
    v = _tiou(pick, other)
    if v < tiou_threshold + threshold_slope * (pick.end - pick.start):
        return 1.0
    return {"hard": 0.0, "linear": 1.0 - v}.get(decay, math.exp(-v * v / sigma))


def _follow(
    items: list[Candidate], kept: list[int], final: list[float], rule: dict[str, Any], min_score: float, cut: int
) -> None:
    """Walk a result with the textbook loop: every pick is the best of what is left, nothing is lost.

    Where a pick is as good as another up to rounding, either may come first, unless both are the same candidate.
    """
    left = {i: c.score for i, c in enumerate(items) if c.score >= min_score and c.score > 0}
    for row, score in zip(kept, final, strict=True):
        assert row in left, "picked twice, or dropped before"
        assert left[row] >= max(left.values()) * (1 - 1e-9)
        assert all(items[i] != items[row] for i in left if i < row), "of equal candidates the earlier comes first"
        assert score == pytest.approx(left.pop(row), rel=1e-9, abs=1e-12)
        left = {i: s * _factor(items[row], items[i], **rule) for i, s in left.items()}
        left = {i: s for i, s in left.items() if s >= min_score * (1 - 1e-9) and s > 0}
    assert len(kept) == cut or all(s < min_score * (1 + 1e-9) for s in left.values())


def _strictly(items: list[Candidate], rule: dict[str, Any], min_score: float, cut: int) -> list[tuple[int, float]]:
    """The textbook loop, ties to the earlier: exact where no exponential rounds."""
    left = {i: c.score for i, c in enumerate(items) if c.score >= min_score and c.score > 0}
    picked: list[tuple[int, float]] = []
    while left and len(picked) < cut:
        best = min(left, key=lambda i: (-left[i], i))
        picked.append((best, left.pop(best)))
        left = {i: s * _factor(items[best], items[i], **rule) for i, s in left.items()}
        left = {i: s for i, s in left.items() if s >= min_score and s > 0}
    return picked


def _assert_like_the_loop(
    segments: Tensor, scores: Tensor, group: Tensor, rule: dict[str, Any], min_score: float, max_num: int | None
) -> None:
    kept, final = suppress(segments, scores, group, **rule, min_score=min_score, max_num=max_num)
    assert group[kept].tolist() == sorted(group[kept].tolist())
    for g in group.unique().tolist():
        rows = torch.nonzero(group == g)[:, 0].tolist()
        items = [Candidate(*segments[i].tolist(), float(scores[i])) for i in rows]
        mine = (group[kept] == g).tolist()
        here = [rows.index(i) for i, m in zip(kept.tolist(), mine, strict=True) if m]
        values = [v for v, m in zip(final.tolist(), mine, strict=True) if m]
        cut = len(rows) if max_num is None else max_num
        assert len(here) <= cut
        _follow(items, here, values, rule, min_score, cut)
        if rule["decay"] in ("hard", "linear"):
            assert list(zip(here, values, strict=True)) == _strictly(items, rule, min_score, cut)


WHOLE = st.tuples(st.integers(0, 20), st.integers(0, 8), st.sampled_from([0.0, 0.1, 0.3, 0.3, 0.5, 0.9]))
ANY = st.tuples(st.floats(-50, 50), st.floats(0, 30), st.floats(0, 2))


@settings(max_examples=300)
@given(
    items=st.lists(st.tuples(st.one_of(WHOLE, ANY), st.integers(-1, 3)), max_size=25),
    rule=st.sampled_from(RULES),
    min_score=st.sampled_from([0.0, 0.1, 0.25]),
    max_num=st.sampled_from([None, 1, 4]),
    look_every=st.sampled_from([1, 16]),
    block_rows=st.sampled_from([4, 1 << 17]),
)
def test_all_groups_at_once_equal_the_textbook_loop(
    items: list[tuple[tuple[float, float, float], int]],
    rule: dict[str, Any],
    min_score: float,
    max_num: int | None,
    look_every: int,
    block_rows: int,
) -> None:
    segments = torch.tensor([[s, s + n] for (s, n, _), _ in items], dtype=torch.float64).reshape(-1, 2)
    scores = torch.tensor([p for (*_, p), _ in items], dtype=torch.float64)
    group = torch.tensor([g for _, g in items], dtype=torch.long)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy, "_LOOK_EVERY", look_every)
        patch.setattr(groups, "_BLOCK_ROWS_CPU", block_rows)
        _assert_like_the_loop(segments, scores, group, rule, min_score, max_num)


def _crowd(seed: int, sizes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Groups of many sizes in one long video each, their rows mixed."""
    generator = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    start = torch.rand(n, generator=generator, dtype=torch.float64) * 100
    length = torch.rand(n, generator=generator, dtype=torch.float64) * 20
    scores = torch.rand(n, generator=generator, dtype=torch.float64)
    group = torch.repeat_interleave(torch.arange(len(sizes)) * 7, torch.tensor(sizes))
    return torch.stack([start, start + length], 1), scores, group[torch.randperm(n, generator=generator)]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: "-".join(map(str, r.values())))
@pytest.mark.parametrize("max_num", [None, 30])
def test_large_and_small_groups_equal_the_textbook_loop(rule: dict[str, Any], max_num: int | None) -> None:
    segments, scores, group = _crowd(3, [150, 1, 90, 40, 7, 2, 60])
    _assert_like_the_loop(segments, scores, group, rule, 0.01, max_num)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: "-".join(map(str, r.values())))
def test_groups_do_not_see_each_other(rule: dict[str, Any]) -> None:
    segments, scores, group = _crowd(5, [80, 30, 50, 1])
    kept, final = suppress(segments, scores, group, **rule, min_score=0.01)
    alone_kept, alone_final = [], []
    for g in group.unique():
        rows = torch.nonzero(group == g)[:, 0]
        k, f = suppress(segments[rows], scores[rows], _one_group(len(rows)), **rule, min_score=0.01)
        alone_kept.append(rows[k])
        alone_final.append(f)
    assert torch.equal(kept, torch.cat(alone_kept))
    assert torch.equal(final, torch.cat(alone_final))
    # other names for the groups give their results in another order, and no other results
    renamed = {int(g): name for g, name in zip(group.unique(), (4, -2, 9, 0), strict=True)}
    other, other_final = suppress(
        segments, scores, torch.tensor([renamed[int(g)] for g in group]), **rule, min_score=0.01
    )
    for g in group.unique():
        assert torch.equal(kept[group[kept] == g], other[group[other] == g])
        assert torch.equal(final[group[kept] == g], other_final[group[other] == g])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: "-".join(map(str, r.values())))
def test_class_wise_leaves_other_classes_alone(rule: dict[str, Any]) -> None:
    segments, scores = THREE.repeat(2, 1), torch.cat([THREE_SCORES, THREE_SCORES / 2])
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    kept, final = suppress(segments, scores, labels, **rule)
    first, values = suppress(THREE, THREE_SCORES, _one_group(3), **rule)
    assert kept.tolist() == [*first.tolist(), *(first + 3).tolist()]
    assert final.tolist() == pytest.approx([*values.tolist(), *(values / 2).tolist()], abs=1e-12)
    agnostic, weaker = suppress(segments, scores, _one_group(6), **rule)
    assert float(weaker.sum()) < float(final.sum()), "the same segments of both classes weaken each other"
    assert agnostic[0] == 0


@pytest.mark.parametrize("rule", [r for r in RULES if r["decay"] != "hard"], ids=lambda r: r["decay"])
@pytest.mark.parametrize("n", [1, 2, 16, 17, 60])
def test_soft_suppression_loses_nothing(rule: dict[str, Any], n: int) -> None:
    segments, scores, group = _crowd(n, [n])
    kept, final = suppress(segments, scores, group, **rule)
    assert sorted(kept.tolist()) == list(range(n))
    assert (final.diff() <= 0).all()


@pytest.mark.parametrize("n", [1, 5, 40])
def test_equal_candidates_come_in_their_order(n: int) -> None:
    segments, scores = torch.tensor([[2.0, 5.0]]).repeat(n, 1), torch.full((n,), 0.5)
    kept, final = suppress(segments, scores, _one_group(n), decay="gaussian", sigma=2.0)
    assert kept.tolist() == list(range(n))
    assert final.tolist() == pytest.approx([0.5 * math.exp(-k / 2.0) for k in range(n)], rel=1e-4)
    kept, _ = suppress(segments, scores, _one_group(n), decay="hard", tiou_threshold=1.0)
    assert kept.tolist() == [0]


def test_empty_segments_overlap_nothing() -> None:
    segments = torch.tensor([[4.0, 4.0], [4.0, 4.0], [0.0, 10.0]])
    kept, final = suppress(segments, torch.tensor([0.5, 0.9, 0.7]), _one_group(3), decay="linear", tiou_threshold=0.0)
    assert kept.tolist() == [1, 2, 0]
    assert final.tolist() == pytest.approx([0.9, 0.7, 0.5])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: "-".join(map(str, r.values())))
def test_the_input_stays_as_it_was(rule: dict[str, Any]) -> None:
    segments, scores, group = _crowd(1, [40, 20])
    for order in (torch.arange(60), group.argsort(stable=True)):
        given_rows = segments[order], scores[order], group[order]
        before = [t.clone() for t in given_rows]
        suppress(*given_rows, **rule, min_score=0.1)
        assert all(torch.equal(a, b) for a, b in zip(given_rows, before, strict=True))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: "-".join(map(str, r.values())))
def test_single_precision_gives_the_same_up_to_its_rounding(rule: dict[str, Any]) -> None:
    segments, scores, group = _crowd(2, [70, 30])
    segments, scores = segments.float(), scores.float()
    kept, final = suppress(segments, scores, group, **rule)
    exact, values = suppress(segments.double(), scores.double(), group, **rule)
    assert torch.equal(torch.sort(kept)[0], torch.sort(exact)[0])
    by_row, by_row_exact = torch.zeros(100), torch.zeros(100, dtype=torch.float64)
    by_row[kept], by_row_exact[exact] = final, values
    assert torch.allclose(by_row.double(), by_row_exact, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16, torch.long])
def test_narrower_numbers_are_widened_first(narrow: torch.dtype) -> None:
    # 3,000 candidates: half precision could not count them
    start = torch.arange(3000) * 4
    segments, scores = torch.stack([start, start + 2], 1), torch.arange(3000, 0, -1)
    kept, final = suppress(segments, scores.to(narrow), _one_group(3000), decay="hard", tiou_threshold=0.5, max_num=5)
    assert final.dtype == torch.float32
    assert kept.tolist() == list(range(5))


def test_nothing_in_nothing_out() -> None:
    empty = torch.zeros(0, dtype=torch.float64)
    kept, final = suppress(torch.zeros(0, 2), empty, torch.zeros(0, dtype=torch.long), decay="hard", tiou_threshold=0.5)
    assert len(kept) == len(final) == 0
    assert kept.dtype == torch.long


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"decay": "cosine"}, "decay: 'cosine' must be hard"),
        ({"decay": "gaussian", "sigma": 0.5, "tiou_threshold": 0.5}, "gaussian acts at every tIoU"),
        ({"decay": "hard", "tiou_threshold": None}, "tiou_threshold: None must be 0 or more for decay hard"),
        ({"decay": "linear", "tiou_threshold": -0.1}, "tiou_threshold: -0.1"),
        ({"decay": "gaussian", "sigma": None, "tiou_threshold": None}, "sigma: None must be above 0"),
        ({"decay": "truncated_gaussian", "sigma": 0.0}, "sigma: 0.0 must be above 0"),
        ({"threshold_slope": -1.0}, "threshold_slope: -1.0"),
        ({"min_score": -0.5}, "min_score: -0.5"),
        ({"max_num": 0}, "max_num: 0 must be at least 1"),
        ({"scores": torch.tensor([0.5, -0.1, 0.2, 0.1])}, "scores: row 1 is -0.1"),
        ({"scores": torch.tensor([0.5, 0.1, math.nan, 0.1])}, "scores: row 2 is nan"),
        ({"scores": torch.tensor([0.5, 0.1])}, r"scores \(2,\) and group \(4,\) must have one value for each of the 4"),
        ({"segments": torch.tensor([[0.0, 1], [2, 1], [0, 1], [0, 1]])}, r"segments: row 1 is \[2.0, 1.0\]"),
    ],
)
def test_bad_values_are_named(change: dict[str, Any], complaint: str) -> None:
    arguments = {"segments": FOUR, "scores": FOUR_SCORES, "group": _one_group(4), "decay": "hard"}
    with pytest.raises(ValueError, match=complaint):
        suppress(**{**arguments, "tiou_threshold": 0.5, **change})  # type: ignore[arg-type]
