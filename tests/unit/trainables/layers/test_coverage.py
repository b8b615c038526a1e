"""Snippets inside segments, against a loop."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.coverage import covered_snippets


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 40)), max_size=8),
    st.integers(1, 10),
)
def test_covered_snippets_against_a_loop(drawn: list[tuple[int, int, int]], num_snippets: int) -> None:
    # quarters, so that ends meet centres exactly
    segments = [(video, min(a, b) / 4, max(a, b) / 4) for video, a, b in drawn]
    table = torch.tensor(segments, dtype=torch.float64).reshape(-1, 3)
    found = covered_snippets(table[:, 0].long(), table[:, 1:], 3, num_snippets)
    for video in range(3):
        for t in range(num_snippets):
            expected = any(v == video and start <= t + 0.5 < end for v, start, end in segments)
            assert bool(found[video, t]) == expected
