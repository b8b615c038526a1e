"""Groups in blocks: every row once, in its order, and little padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers import groups
from trainables.layers.groups import Groups


@given(names=st.lists(st.integers(-3, 6), max_size=60), block_rows=st.sampled_from([1, 8, 1 << 17]))
def test_every_row_is_in_one_block_in_its_order(names: list[int], block_rows: int) -> None:
    group = torch.tensor(names, dtype=torch.long)
    found = Groups.of(group)
    assert (found.order is None) == (names == sorted(names))
    order = torch.arange(len(names)) if found.order is None else found.order
    columns: dict[int, list[int]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_BLOCK_ROWS_CPU", block_rows)
        for members, depth in found.blocks():
            position, real = found.positions(members, depth)
            assert position.shape == real.shape == (depth, len(members))
            assert depth * len(members) <= block_rows or len(members) == 1
            assert int(real.sum(dim=0).max()) == depth
            assert int(real.sum(dim=0).min()) >= depth // 2
            for member, column, mask in zip(members.tolist(), position.T, real.T, strict=True):
                assert member not in columns
                columns[member] = order[column[mask]].tolist()
    assert [columns[g] for g in sorted(columns)] == [
        [i for i, other in enumerate(names) if other == name] for name in sorted(set(names))
    ]
