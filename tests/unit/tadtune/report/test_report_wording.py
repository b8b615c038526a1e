from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tadtune.report.wording import (
    gap,
    gap_interval,
    mean_text,
    metric_title,
    score,
    seeds_text,
    sign_text,
    split_title,
)
from tadtune.track.record import Result
from tadtune.track.statistics import Difference, Interval, metric_statistics, row_statistics


@pytest.mark.parametrize(("value", "shown"), [(0.227, "22.7"), (0.0, "0.0"), (-0.00001, "0.0"), (None, "–")])
def test_scores_have_one_decimal(value, shown):
    assert score(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.016, "+1.60"), (-0.0123, "−1.23"), (0.0, "0.00"), (-0.00001, "0.00"), (None, "–")]
)
def test_differences_have_two_decimals_and_a_sign(value, shown):
    assert gap(value) == shown


@given(st.floats(-1, 1))
def test_a_difference_reads_back(value):
    assert float(gap(value).replace("−", "-")) == pytest.approx(100 * value, abs=0.005001)


@pytest.mark.parametrize(
    ("mean", "interval", "paper", "shown"),
    [
        (0.02, Interval(0.01, 0.03), 0.01, "agrees"),
        (-0.02, Interval(-0.03, -0.01), 0.01, "opposite"),
        (0.02, Interval(-0.01, 0.03), 0.01, "agrees, within noise"),
        (-0.02, Interval(-0.03, 0.01), 0.01, "opposite, within noise"),
        (0.02, None, 0.01, "agrees, no interval"),
        (0.02, Interval(0.01, 0.03), None, "–"),
    ],
)
def test_signs(mean, interval, paper, shown):
    assert sign_text(Difference((0, 1), mean, interval, "t_seeds", paper)) == shown


def test_intervals():
    assert gap_interval(Difference((0, 1), 0.02, Interval(-0.01, 0.03), "t_seeds")) == "[−1.00, +3.00]"
    assert gap_interval(Difference((0,), 0.02, None, "none")) == "[no interval]"


def test_means():
    assert mean_text(None) == "–"
    assert mean_text(metric_statistics({0: 0.5})) == "50.0"
    assert (
        mean_text(metric_statistics({0: 0.40, 1: 0.41, 2: 0.42})) == "41.0 ± 2.5"
    )  # 4.303 / sqrt(3) standard deviations


def test_seeds_never_hide_what_is_missing():
    done, failed = Result("complete", {"test/avg_map": 0.5}), Result("failed")
    assert seeds_text(row_statistics("row", {0: done})) == "1 seed"
    assert seeds_text(row_statistics("row", {0: done, 1: done})) == "2 seeds"
    assert seeds_text(row_statistics("row", {0: done, 1: failed, 2: None})) == "1 of 3 seeds, 1 failed, 1 missing"


def test_titles():
    assert [metric_title(m) for m in ("map_tiou_0.50", "avg_map", "ar_an_100")] == [
        "mAP@0.50",
        "average mAP",
        "ar_an_100",
    ]
    assert split_title("test") == "test"
    assert split_title("test_tuned") == "test, inference values tuned on select"
