from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tadtune.plan.power import DEFAULT_SEED_SD, detectable_difference
from tadtune.track.record import Result
from tadtune.track.statistics import (
    RESAMPLES,
    bootstrap_interval,
    differences,
    metric_statistics,
    rank_agreement,
    row_statistics,
    study_noise,
    t_interval,
    video_weights,
)

NAME = "test/avg_map"
SCORES = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12)


def _row(key, values):
    return row_statistics(key, {seed: Result("complete", {NAME: value}) for seed, value in values.items()})


def _pair(row, baseline, resampled=({}, {}), paper=({}, {})):
    return differences(_row("row", row), _row("base", baseline), resampled=resampled, paper=paper)


def _videos(mean, spread, num_seeds, num_videos=60, seed=0):
    """(S, V) values per video around a mean, common to the seeds up to a little."""
    rng = np.random.default_rng(seed)
    video = rng.normal(0, spread, num_videos)
    return mean + video + rng.normal(0, spread / 10, (num_seeds, num_videos))


def _resampled(videos):
    weights = video_weights(videos.shape[1]) / videos.shape[1]
    return {NAME: {seed: weights @ values for seed, values in enumerate(videos)}}


def test_mean_sd_and_interval_by_hand():
    found = metric_statistics({0: 0.10, 1: 0.12, 2: 0.17})
    assert found.mean == pytest.approx(0.13)
    assert found.sd == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    half = 4.302653 * found.sd / math.sqrt(3)  # t of 2 degrees of freedom at 97.5 %
    assert (found.interval.low, found.interval.high) == pytest.approx((0.13 - half, 0.13 + half), abs=1e-7)


def test_one_seed_has_neither_spread_nor_interval():
    found = metric_statistics({3: 0.4})
    assert (found.mean, found.sd, found.interval) == (0.4, None, None)


def test_no_seed_is_refused():
    with pytest.raises(ValueError, match="no finished seed"):
        metric_statistics({})


@given(SCORES)
@settings(max_examples=50)
def test_interval_is_scipys(values):
    array = np.asarray(values)
    found = t_interval(array)
    if array.std(ddof=1) > 1e-9:
        expected = stats.t.interval(0.95, len(array) - 1, loc=array.mean(), scale=stats.sem(array))
        assert (found.low, found.high) == pytest.approx(expected)
    else:
        assert found.high - found.low == pytest.approx(0, abs=1e-7)


def test_only_complete_trials_score():
    row = row_statistics(
        "row",
        {
            0: Result("complete", {NAME: 0.5, "test/other": math.nan}),
            1: Result("failed", {NAME: 0.9}, error="boom"),
            2: Result("pruned", {NAME: 0.1}),
            3: None,
        },
    )
    assert row.states == {0: "complete", 1: "failed", 2: "pruned", 3: "missing"}
    assert row.finished == (0,)
    assert not row.complete
    assert row.metrics[NAME].values == {0: 0.5}
    assert "test/other" not in row.metrics


def test_difference_pairs_the_common_seeds():
    found = _pair({0: 0.5, 1: 0.6, 2: 0.9}, {0: 0.4, 1: 0.4, 3: 0.1})[NAME]
    assert found.seeds == (0, 1)
    assert found.mean == pytest.approx(0.15)
    assert found.method == "t_seeds"
    half = 12.706205 * math.sqrt(2) * 0.05 / math.sqrt(2)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.15 - half, 0.15 + half), abs=1e-6)
    assert found.excludes_zero is False


def test_one_seed_without_matches_has_no_interval():
    found = _pair({0: 0.5}, {0: 0.4})[NAME]
    assert (found.interval, found.method, found.excludes_zero) == (None, "none", None)


def test_rows_without_a_common_seed_have_no_difference():
    assert _pair({0: 0.5}, {1: 0.4}) == {}


def test_a_seed_without_matches_falls_back_to_seeds():
    videos = _videos(0.5, 0.1, 2)
    row, base = _resampled(videos), _resampled(videos - 0.1)
    del base[NAME][1]
    values = dict(enumerate(videos.mean(axis=1)))
    found = _pair(values, {s: v - 0.1 for s, v in values.items()}, (row, base))[NAME]
    assert found.method == "t_seeds"


def test_bootstrap_excludes_zero_for_a_planted_effect_and_covers_it():
    base = _videos(0.40, 0.15, 3)
    row = base + 0.05 + np.random.default_rng(5).normal(0, 0.05, base.shape)
    means = [dict(enumerate(v.mean(axis=1))) for v in (row, base)]
    found = _pair(*means, (_resampled(row), _resampled(base)))[NAME]
    assert found.method == "bootstrap_videos_seeds"
    assert found.excludes_zero
    assert found.interval.low < 0.05 < found.interval.high


def test_bootstrap_sees_that_rows_with_unrelated_videos_do_not_differ():
    row, base = _videos(0.40, 0.15, 3, seed=1), _videos(0.40, 0.15, 3, seed=2)
    means = [dict(enumerate(v.mean(axis=1))) for v in (row, base)]
    found = _pair(*means, (_resampled(row), _resampled(base)))[NAME]
    assert found.excludes_zero is False


@pytest.mark.parametrize(
    ("num_seeds", "video_sd", "seed_sd"),
    [(1, 1.0, 0.0), (2, 1.0, 0.0), (3, 1.0, 0.0), (2, 0.3, 1.0), (3, 0.3, 1.0), (3, 0.0, 1.0), (5, 0.0, 1.0)],
)
def test_intervals_cover_the_truth_nineteen_times_in_twenty(num_seeds, video_sd, seed_sd):
    """Whatever dominates, videos or seeds; one seed knows of the videos only."""
    rng = np.random.default_rng(3)
    num_videos, studies, covered = 50, 120, 0
    weights = video_weights(num_videos) / num_videos
    for _ in range(studies):
        noise = rng.normal(0, video_sd * math.sqrt(num_videos), num_videos) + rng.normal(0, seed_sd, (num_seeds, 1))
        row = {NAME: {s: weights @ values for s, values in enumerate(noise)}}
        zero = {NAME: {s: np.zeros(RESAMPLES) for s in range(num_seeds)}}
        means = dict(enumerate(noise.mean(axis=1)))
        covered += not _pair(means, dict.fromkeys(means, 0.0), (row, zero))[NAME].excludes_zero
    assert covered / studies >= 0.89  # 3 standard errors below 0.95


@given(st.integers(1, 5), st.floats(-0.5, 0.5), st.integers(0, 1000))
@settings(max_examples=25)
def test_bootstrap_moves_with_the_effect_and_mirrors(num_seeds, shift, seed):
    gaps = np.random.default_rng(seed).normal(0, 0.1, (num_seeds, RESAMPLES))
    plain, moved, mirrored = (bootstrap_interval(g) for g in (gaps, gaps + shift, -gaps))
    assert (moved.low, moved.high) == pytest.approx((plain.low + shift, plain.high + shift), abs=1e-12)
    assert (mirrored.low, mirrored.high) == pytest.approx((-plain.high, -plain.low), abs=1e-12)


def test_weights_draw_as_many_videos_as_there_are_and_stay_the_same():
    weights = video_weights(30)
    assert weights.shape == (RESAMPLES, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert weights.mean() == pytest.approx(1.0)
    assert np.array_equal(weights, video_weights(30))


@pytest.mark.parametrize(
    ("ours", "paper", "agrees"),
    [(0.02, 0.016, True), (-0.02, 0.016, False), (0.0, 0.016, False), (0.02, -0.1, False), (0.02, 0.0, None)],
)
def test_sign(ours, paper, agrees):
    found = _pair({0: 0.5 + ours}, {0: 0.5}, paper=({"avg_map": 0.2 + paper}, {"avg_map": 0.2}))[NAME]
    assert found.sign_agrees is agrees


@pytest.mark.parametrize("paper", [({}, {}), ({"avg_map": 0.2}, {}), ({}, {"avg_map": 0.2})])
def test_no_sign_without_both_of_the_papers_values(paper):
    found = _pair({0: 0.5}, {0: 0.4}, paper=paper)[NAME]
    assert (found.paper, found.sign_agrees) == (None, None)


def test_paper_difference_by_hand():
    found = _pair({0: 0.5}, {0: 0.4}, paper=({"avg_map": 0.227}, {"avg_map": 0.138}))[NAME]
    assert found.paper == pytest.approx(0.089)


def test_rank_agreement_by_hand():
    found = rank_agreement({"a": 1, "b": 2, "c": 3, "d": 4}, {"a": 0.1, "b": 0.3, "c": 0.2, "d": 0.4})
    assert (found.concordant, found.pairs, found.rows) == (5, 6, 4)
    assert found.tau == pytest.approx((5 - 1) / 6)


def test_rank_agreement_uses_common_rows_only():
    found = rank_agreement({"a": 1, "b": 2, "z": 9}, {"a": 0.1, "b": 0.3, "c": 0.2})
    assert (found.concordant, found.pairs, found.rows, found.tau) == (1, 1, 2, 1.0)


@pytest.mark.parametrize("ours", [{}, {"a": 0.1}, {"a": 0.1, "b": 0.1}])
def test_no_rank_without_an_order(ours):
    assert rank_agreement({"a": 1, "b": 2}, ours).tau is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=9))
@settings(max_examples=50)
def test_tau_is_scipys_tau_b(pairs):
    paper, ours = ({str(i): float(p[side]) for i, p in enumerate(pairs)} for side in (0, 1))
    found = rank_agreement(paper, ours)
    if len(set(paper.values())) > 1 and len(set(ours.values())) > 1:
        expected = stats.kendalltau(list(paper.values()), list(ours.values()), variant="b").statistic
        assert found.tau == pytest.approx(expected)
    else:
        assert found.tau is None
    assert 0 <= found.concordant <= found.pairs == len(pairs) * (len(pairs) - 1) // 2


def test_noise_is_pooled_and_says_what_can_be_found():
    rows = {"a": _row("a", {0: 0.10, 1: 0.14}), "b": _row("b", {0: 0.30, 1: 0.36})}
    noise = study_noise(rows, NAME, 2)
    assert noise.sd == pytest.approx(math.sqrt((2 * 0.02**2 + 2 * 0.03**2) / 2))
    assert noise.source == "4 finished trials of this study"
    assert noise.detectable == pytest.approx(detectable_difference(noise.sd, 2))
    assert noise.by_chance == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(2) * noise.sd, rel=1e-5)


def test_one_seed_detects_nothing():
    noise = study_noise({"a": _row("a", {0: 0.1})}, NAME, 1)
    assert noise.detectable is None
    assert noise.sd == DEFAULT_SEED_SD
