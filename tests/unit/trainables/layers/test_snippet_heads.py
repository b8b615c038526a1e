"""Snippet classification and attention: worked examples, joined streams, padding."""

from __future__ import annotations

import pytest
import torch

from trainables.layers.snippet_heads import (
    SnippetHeads,
    attention_weights,
    join_streams,
    mil_loss,
    normalise_scp,
    pooled_probs,
    video_logits,
)

SCP = torch.tensor([[[0.8, 0.4], [0.2, 0.6]]], dtype=torch.float64)
ATTENTION = torch.tensor([[0.75, 0.25]], dtype=torch.float64)


def labels(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def heads(streams: int = 2, *, block_diagonal: bool = True, norm: str = "softmax") -> SnippetHeads:
    torch.manual_seed(0)
    return SnippetHeads(
        feat_dim=8,
        num_classes=3,
        streams=streams,
        norm=norm,  # type: ignore[arg-type]
        block_diagonal_init=block_diagonal,
    ).double()


def test_video_score_and_loss_golden() -> None:
    x = pooled_probs(SCP, ATTENTION)
    assert x[0].tolist() == pytest.approx([0.7, 0.3])
    assert float(mil_loss(x, labels(1, 0))) == pytest.approx(0.356675, abs=1e-6)
    assert float(mil_loss(x, labels(1, 1))) == pytest.approx(0.780324, abs=1e-6)


def test_attention_among_the_first_snippet_alone_golden() -> None:
    weights = attention_weights(ATTENTION.log(), torch.tensor([[True, False]]))
    assert weights[0].tolist() == [1.0, 0.0]
    x = pooled_probs(SCP, weights)
    assert x[0].tolist() == pytest.approx([0.8, 0.2])
    assert float(mil_loss(x, labels(1, 0))) == pytest.approx(0.223144, abs=1e-6)


def test_loss_is_finite_at_zero_and_nothing_for_a_video_without_labels() -> None:
    assert float(mil_loss(labels(0, 1), labels(1, 0))) == pytest.approx(18.420681, abs=1e-6)
    assert float(mil_loss(labels(0.5, 0.5), labels(0, 0))) == 0.0


def test_joined_streams_give_the_mean_of_the_streams() -> None:
    generator = torch.Generator().manual_seed(1)

    def head(outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
        weight = torch.randn(outputs, 4, generator=generator, dtype=torch.float64)
        return weight, torch.randn(outputs, generator=generator, dtype=torch.float64)

    classes, attentions = [head(3), head(3)], [head(1), head(1)]
    weight, bias, attention_weight, attention_bias = join_streams(classes, attentions)
    feats = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    joined = (feats @ weight.T + bias).reshape(5, 2, 3).mean(dim=1)
    apart = sum(x @ w.T + b for x, (w, b) in zip(feats.chunk(2, dim=1), classes, strict=True)) / 2
    assert torch.allclose(joined, apart, rtol=0, atol=1e-14)  # type: ignore[arg-type]
    attention = feats @ attention_weight.T + attention_bias
    apart = sum(x @ w.T + b for x, (w, b) in zip(feats.chunk(2, dim=1), attentions, strict=True)) / 2
    assert torch.allclose(attention, apart, rtol=0, atol=1e-14)  # type: ignore[arg-type]


def test_streams_start_blind_to_each_other_or_not() -> None:
    blind = heads().classifier.weight
    assert not blind[:3, 4:].any()
    assert not blind[3:, :4].any()
    assert blind[:3, :4].all()
    assert blind[3:, 4:].all()
    assert heads(block_diagonal=False).classifier.weight.all()


@pytest.mark.parametrize("norm", ["softmax", "sigmoid"])
def test_class_scores_against_a_loop(norm: str) -> None:
    logits = torch.randn(2, 2, 3, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    found = normalise_scp(logits, valid, norm)  # type: ignore[arg-type]
    for b in range(2):
        for t in range(5):
            streams = [logits[b, r, :, t] for r in range(2)]
            each = [s.exp() / s.exp().sum() if norm == "softmax" else 1 / (1 + (-s).exp()) for s in streams]
            expected = (each[0] + each[1]) / 2 * float(valid[b, t])
            assert torch.allclose(found[b, :, t], expected)


@pytest.mark.parametrize("norm", ["softmax", "sigmoid"])
def test_evidence_does_not_see_padding(norm: str) -> None:
    model = heads(norm=norm)
    feats = torch.randn(1, 8, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    padded = torch.cat([feats, torch.full((1, 8, 3), 7.0, dtype=torch.float64)], dim=2)
    short = model(feats, torch.ones(1, 6, dtype=torch.bool))
    long = model(padded, torch.arange(9)[None] < 6)
    assert torch.allclose(short.video_probs, long.video_probs)
    assert torch.allclose(short.scp, long.scp[..., :6])
    assert not long.scp[..., 6:].any()


def test_video_logits_give_the_probabilities_back() -> None:
    probs = labels(0.7, 0.2, 0.1)
    assert torch.allclose(torch.softmax(video_logits(probs, "softmax"), dim=1), probs)
    assert torch.allclose(torch.sigmoid(video_logits(probs, "sigmoid")), probs)
    assert torch.isfinite(video_logits(labels(0.0, 1.0), "sigmoid")).all()


def test_streams_of_different_width_are_refused() -> None:
    with pytest.raises(ValueError, match="8 feature channels are not 3 streams of one width; set cls.streams to 1"):
        heads(streams=3)
