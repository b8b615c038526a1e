"""Losses of frames: golden values, and loops over single frames."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainables.losses.frame_level import localisation_loss, presence_loss, resampled, summed_loss


def test_golden() -> None:
    logits, labels = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [0.0], [1.0], [1.0]]])
    valid = torch.ones(1, 4, dtype=torch.bool)
    assert resampled(logits, 4)[0, :, 0].tolist() == pytest.approx([0.0, 0.25, 0.75, 1.0])
    assert resampled(logits, 2) is logits
    loc, cls = localisation_loss(logits, labels, valid), presence_loss(logits, labels, valid)
    assert float(loc) == pytest.approx(0.554805, abs=1e-6)
    assert float(cls) == pytest.approx(0.313262, abs=1e-6)
    assert float(0.5 * loc + 0.5 * cls) == pytest.approx(0.434033, abs=1e-6)


def _bce(logit: Tensor, label: Tensor) -> float:
    p = torch.sigmoid(logit.double())
    return float(-(label * p.log() + (1 - label) * (1 - p).log()))


@given(
    seed=st.integers(0, 10_000), lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3), classes=st.integers(1, 3)
)
def test_only_valid_frames_count(seed: int, lengths: list[int], classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), 6, classes)
    logits, labels = torch.randn(shape, generator=generator), (torch.rand(shape, generator=generator) < 0.4).float()
    valid = torch.arange(6) < torch.tensor(lengths)[:, None]
    rows = [(b, t) for b, n in enumerate(lengths) for t in range(n)]
    total = sum(_bce(logits[b, t, k], labels[b, t, k]) for b, t in rows for k in range(classes))
    found = [float(loss(logits, labels, valid)) for loss in (localisation_loss, summed_loss, presence_loss)]
    assert found[:2] == pytest.approx([total / len(rows) / classes, total / len(rows)], rel=1e-5)
    highest = [
        _bce(logits[b, :n, k].max(), labels[b, :n, k].max()) for b, n in enumerate(lengths) for k in range(classes)
    ]
    assert found[2] == pytest.approx(sum(highest) / len(highest), rel=1e-5)
