"""What a number of seeds can tell, against simulation and published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tadtune.plan.power import DEFAULT_SEED_SD, detectable_difference, estimate_cost, seed_noise


@pytest.mark.parametrize(("seeds", "difference"), [(3, 1.44), (5, 0.95), (10, 0.62)])
def test_figures_for_the_spread_of_ten_published_seeds(seeds: int, difference: float) -> None:
    assert detectable_difference(0.47, seeds) == pytest.approx(difference, abs=0.005)


def test_power_in_a_simulation() -> None:
    generator = np.random.default_rng(0)
    effect = detectable_difference(1.0, 4)
    a, b = generator.normal(size=(2, 20_000, 4))
    found = stats.ttest_ind(a + effect, b, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_one_seed_resolves_nothing() -> None:
    assert detectable_difference(0.47, 1) == math.inf
    assert detectable_difference(0.0, 3) == 0.0


def test_noise_is_pooled_over_rows() -> None:
    noise = seed_noise({"a": [1.0, 3.0], "b": [5.0, 5.0, 8.0], "c": [4.0]})
    assert noise.sd == pytest.approx(math.sqrt((2.0 + 6.0) / 3))
    assert noise.source == "5 finished trials of this study"
    assert seed_noise({"a": [1.0]}).sd == DEFAULT_SEED_SD


def test_cost_follows_the_median_trial() -> None:
    cost = estimate_cost(5, [10.0, 12.0, 900.0], concurrency=2)
    assert (cost.process_seconds, cost.wall_s) == (60.0, 36.0)
    assert estimate_cost(5, [], concurrency=2).wall_s is None
    assert estimate_cost(0, [], concurrency=2).wall_s == 0.0
