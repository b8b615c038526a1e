"""The model behind simulated features, against a count by hand and a slow loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.synthetic.evidence import (
    Action,
    Directions,
    Evidence,
    covered,
    draw_directions,
    render,
    wrong_steps,
)

MODEL = Evidence(
    feat_dim=9, core_fraction=0.5, core_strength=8.0, flank_strength=2.0, context_confuser=3.0, noise=0.0,
    confusable=0.0, telling_context=5.0, boundary_blur=0.0,
)  # fmt: skip
#: Every kind of evidence has channels of its own: classes 0 to 2, shared contexts 3 to 5, telling ones 6 to 8.
AXES = Directions(*np.eye(9).reshape(3, 3, 9))


@given(length=st.integers(1, 12), start=st.floats(-3, 15), size=st.floats(0, 10))
def test_cover_against_a_fine_count(length: int, start: float, size: float) -> None:
    share = covered(length, start, start + size)
    fine = (np.arange(length * 1000) + 0.5) / 1000
    counted = ((fine >= start) & (fine < start + size)).reshape(length, 1000).mean(axis=1)
    assert np.abs(share - counted).max() <= 0.002
    assert share.sum() == pytest.approx(max(0.0, min(start + size, length) - max(start, 0.0)), abs=1e-9)


def test_one_action_by_hand() -> None:
    features = render(np.zeros((8, 9)), [Action(3, 5, 4, 5, 1, 2)], MODEL, AXES)
    assert features[:, 1].tolist() == [0, 0, 0, 2, 8, 0, 0, 0]
    assert features[:, 5].tolist() == [0, 3, 3, 3, 3, 3, 3, 0], "its length on both sides, and inside"
    assert features[:, 7].tolist() == [0, 5, 5, 0, 0, 5, 5, 0], "on both sides, and not inside"
    assert not features[:, [0, 2, 3, 4, 6, 8]].any()
    assert features.dtype == np.float32


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 6), st.integers(0, 2), st.integers(0, 2), st.floats(0, 1)),
        max_size=5,
    )
)
def test_overlapping_actions_against_a_loop(rows: list[tuple[int, int, int, int, float]]) -> None:
    length = 16
    actions = [
        Action(start, start + size, start + place * size / 2, start + place * size / 2 + size / 2, label, context)
        for start, size, label, context, place in rows
    ]
    expected = np.zeros((length, 9))
    for t in range(length):
        busy = any(a.start <= t < a.end for a in actions)
        for a in actions:
            in_core = max(0.0, min(t + 1, a.core_end) - max(t, a.core_start))
            if a.start <= t < a.end:
                expected[t, a.label] = max(expected[t, a.label], 8.0 * in_core + 2.0 * (1.0 - in_core))
            size = a.end - a.start
            if a.start - size <= t < a.end + size:
                expected[t, 3 + a.context] = 3.0
                expected[t, 6 + a.label] = 0.0 if busy else 5.0
    assert np.allclose(render(np.zeros((length, 9)), actions, MODEL, AXES), expected, atol=1e-5)


@given(share=st.floats(0, 1), classes=st.integers(2, 7), seed=st.integers(0, 20))
def test_every_second_class_turns_to_the_one_before(share: float, classes: int, seed: int) -> None:
    def drawn(confusable: float) -> np.ndarray:
        model = dataclasses.replace(MODEL, confusable=confusable)
        return draw_directions(model, classes, np.random.default_rng(seed), seed).actions

    plain, turned = drawn(0.0), drawn(share)
    for k in range(classes):
        expected = plain[k] if k % 2 == 0 else (1 - share) * plain[k] + share * plain[k - 1]
        assert np.allclose(turned[k], expected / np.linalg.norm(expected))


@given(
    train=st.lists(st.booleans(), min_size=1, max_size=40),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    classes=st.integers(2, 6),
)
def test_wrong_steps_are_in_training_and_as_many_as_asked(train: list[bool], share: float, classes: int) -> None:
    steps = wrong_steps(np.array(train), share, classes, seed=1)
    assert (steps > 0).sum() == round(share * sum(train))
    assert not steps[~np.array(train)].any()
    assert steps.max() < classes
