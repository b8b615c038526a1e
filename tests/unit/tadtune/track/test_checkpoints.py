"""The budget for checkpoints: the best and the last are kept, whatever the order in which trials end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tadtune.track.checkpoints import CheckpointBudget


def _kept(keep: int, sign: int, ends: list[tuple[str, float | None]]) -> set[str]:
    budget, kept = CheckpointBudget(keep, sign), set[str]()
    for trial_id, objective in ends:
        kept.add(trial_id)
        dropped = budget.ended(trial_id, objective)
        assert len(dropped) == len(set(dropped))
        assert set(dropped) <= kept, "dropped twice"
        kept -= set(dropped)
    return kept


def test_golden() -> None:
    ends: list[tuple[str, float | None]] = [("a", 0.3), ("b", 0.5), ("c", None), ("d", 0.1), ("e", 0.4), ("f", 0.2)]
    assert _kept(2, 1, ends) == {"b", "e", "f"}
    assert _kept(2, -1, ends) == {"d", "f"}
    assert _kept(1, 1, ends[:4]) == {"b", "d"}
    assert _kept(0, 1, ends) == {"f"}


@given(st.integers(0, 5), st.sampled_from([1, -1]), st.lists(st.none() | st.integers(0, 8).map(float), max_size=30))
def test_the_best_and_the_last(keep: int, sign: int, objectives: list[float | None]) -> None:
    ends = [(str(number), objective) for number, objective in enumerate(objectives)]
    scored = [(trial_id, objective) for trial_id, objective in ends if objective is not None]
    best = sorted(scored, key=lambda pair: (-sign * pair[1], int(pair[0])))[:keep]
    assert _kept(keep, sign, ends) == {trial_id for trial_id, _ in best} | {i for i, _ in ends[-1:]}
