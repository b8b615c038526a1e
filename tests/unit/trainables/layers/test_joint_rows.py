"""Rows of other processes; processes themselves are in the test of world sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.layers.joint_rows import Others, beside, joint_rows, of_first
from trainables.losses.balanced import balanced_binary_cross_entropy, mined_cross_entropy
from trainables.losses.transfer import TransferLoss


def test_alone_the_rows_are_themselves() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert joint_rows(rows) is rows
    assert of_first(rows) is rows


def test_own_rows_keep_their_place_and_their_gradient_makes_up_for_the_share() -> None:
    rows = torch.tensor([2.0, 3.0], requires_grad=True)
    seen: list[Tensor] = []

    def gather(own: Tensor) -> list[Tensor]:
        seen.append(own)
        return [torch.tensor([1.0]), own, torch.zeros(0), torch.tensor([4.0, 5.0])]

    with beside(Others(gather, position=1, share=0.25)):
        joint = joint_rows(rows)
        assert of_first(torch.tensor([7.0])).tolist() == [1.0]
    assert joint.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert not seen[0].requires_grad
    joint.square().sum().backward()
    assert rows.grad is not None
    assert rows.grad.tolist() == [16.0, 24.0]  # 2 x / share
    assert joint_rows(rows) is rows, "what was said before holds no longer"


def test_every_loss_comes_to_its_exchanges_whatever_its_rows() -> None:
    """A process that left one out would wait for ever; the rows are without positives, negatives, clips or labels."""
    calls: list[Tensor] = []

    def gather(own: Tensor) -> list[Tensor]:
        calls.append(own)
        return [own, own]

    def exchanges(positive: list[int]) -> int:
        calls.clear()
        labels = torch.tensor(positive, dtype=torch.long)
        logits = torch.zeros(len(labels), 2, requires_grad=True)
        with beside(Others(gather, position=0, share=0.5)):
            mined_cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call, unused-ignore]
            balanced_binary_cross_entropy(logits[:, 0], labels > 0).backward()  # type: ignore[no-untyped-call, unused-ignore]
        return len(calls)

    assert {exchanges(labels) for labels in ([1, 0], [0, 0], [1, 1], [-1, -1], [])} == {4}

    transfer = TransferLoss(num_trimmed=2, kernel="multi5", scope="class")
    transfer.fill(torch.randn(4, 1, 3), torch.eye(2).repeat(2, 1))

    def transferred(video_labels: Tensor) -> int:
        calls.clear()
        with beside(Others(lambda own: [*gather(own)[:1], torch.ones_like(own[:1])], position=0, share=0.5)):
            transfer(torch.randn(2, 1, 3, requires_grad=True), video_labels)
        return len(calls)

    # the other process has both classes: what this one has makes no difference
    assert transferred(torch.zeros(2, 2)) == transferred(torch.ones(2, 2)) == 4
