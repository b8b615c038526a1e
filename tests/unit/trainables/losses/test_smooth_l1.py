import pytest
import torch

from trainables.losses.smooth_l1 import smooth_l1


@pytest.mark.parametrize(
    ("sigma", "difference", "loss"),
    [(1, 0.2, 0.02), (1, 2, 1.5), (1, -2, 1.5), (3, 0.05, 0.01125), (3, 0.2, 0.144444), (3, 1, 0.944444)],
)
def test_golden(sigma: float, difference: float, loss: float) -> None:
    value = smooth_l1(torch.tensor([difference]).double(), sigma=sigma)
    assert value.tolist() == pytest.approx([loss], abs=1e-6)
