from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from report_studies import finish, finish_with_videos, make_sweep, sweep_trial

from tadtune.report.answer import answer, start_sentence
from tadtune.report.collect import collect
from tadtune.report.facts import parameter_table
from tadtune.report.table import gain_table
from tadtune.spec.space import Parameter
from tadtune.spec.study import Metric


def _videos(mean):
    return np.clip(mean + np.random.default_rng(4).normal(0, 0.1, 50), 0, 1)


def _points(num):
    """Settings of which the first is the starting point, and their scores, which ``blocks`` alone decides."""
    rng = np.random.default_rng(2)
    points = [({}, 0.40)]
    for _ in range(num - 1):
        blocks = int(rng.integers(1, 5))
        values = {
            "detector.blocks": blocks,
            "detector.x": float(10 ** rng.uniform(-2, 0)),
            "detector.mode": "attention",
        }
        points.append((values, 0.30 + 0.05 * blocks))
    return points


def _run(folder, study, points):
    for number, (values, mean) in enumerate(points):
        finish_with_videos(folder, sweep_trial(study, values), _videos(mean), finished_at=100.0 + number)


def test_history_best_and_gain(folder):
    study = make_sweep()
    _run(folder, study, [({}, 0.40), ({"detector.blocks": 1}, 0.35), ({"detector.blocks": 4}, 0.50)])
    data = collect(study, folder)
    sweep = data.sweep
    assert [t.number for t in sweep.trials] == [1, 2, 3]
    expected = [_videos(m).mean() for m in (0.40, 0.35, 0.50)]
    assert [t.objective for t in sweep.trials] == pytest.approx(expected)
    assert [t.best for t in sweep.trials] == pytest.approx([expected[0], expected[0], expected[2]])
    assert (sweep.start.number, sweep.best.number) == (1, 3)
    gain = sweep.gains["test/avg_map"]
    assert gain.mean == pytest.approx(expected[2] - expected[0])
    assert (gain.method, gain.excludes_zero) == ("bootstrap_videos", True)
    assert sweep.gains["select/avg_map"].interval is None


def test_a_minimised_metric_is_best_where_it_is_lowest(folder):
    study = make_sweep(metric=Metric("avg_map", "min"))
    _run(folder, study, [({}, 0.40), ({"detector.blocks": 1}, 0.35), ({"detector.blocks": 4}, 0.50)])
    sweep = collect(study, folder).sweep
    assert sweep.best.number == 2
    assert [t.best for t in sweep.trials] == pytest.approx([_videos(m).mean() for m in (0.40, 0.35, 0.35)])


def test_pruned_and_failed_trials_are_counted_and_never_best(folder):
    study = make_sweep(trials=4)
    _run(folder, study, [({}, 0.40)])
    finish(folder, sweep_trial(study, {"detector.blocks": 1}), {}, status="pruned", objective=0.99, finished_at=200.0)
    finish(folder, sweep_trial(study, {"detector.blocks": 3}), {}, status="failed", error="ValueError: bad")
    data = collect(study, folder)
    assert data.measurement.counts == {"complete": 1, "pruned": 1, "failed": 1, "running": 0}
    assert data.sweep.best is data.sweep.start
    assert max(t.best for t in data.sweep.trials if t.best is not None) < 0.5
    assert answer(data).startswith("So far, with 2 of 4 trials finished: none of 1 complete trials beats the starting")


def test_answer_says_what_one_seed_can_say(folder):
    study = make_sweep(trials=2)
    _run(folder, study, [({}, 0.40), ({"detector.blocks": 4}, 0.50)])
    text = answer(collect(study, folder))
    assert "+10.00 over the starting point; on test, which the search never saw, the difference is +10.00 [" in text
    assert text.endswith("more than the choice of test videos explains (one seed: another may differ).")


def test_without_the_starting_point_nothing_is_compared(folder):
    study = make_sweep(trials=1)
    _run(folder, study, [({"detector.blocks": 4}, 0.50)])
    data = collect(study, folder)
    assert data.sweep.gains == {}
    assert "the starting point has no finished trial to compare it with" in answer(data)


def test_tuned_and_untuned_scores_stand_side_by_side(folder):
    study = make_sweep(inner=True)
    for number, (values, base, nms) in enumerate([({}, 0.40, 0.4), ({"detector.blocks": 4}, 0.45, 0.7)]):
        metrics = {
            f"{split}/avg_map": base + plus
            for split, plus in {"select": 0, "select_tuned": 0.02, "test": -0.01, "test_tuned": 0.01}.items()
        }
        trial = sweep_trial(study, values)
        finish(folder, trial, metrics, objective=base + 0.02, inference={"detector.nms": nms}, finished_at=1.0 + number)
    data = collect(study, folder)
    assert [row[1:] for row in gain_table(data, ("avg_map",))] == [
        ("select", "40.0", "45.0", "+5.00"),
        ("select, tuned", "42.0", "47.0", "+5.00"),
        ("test", "39.0", "44.0", "+5.00"),
        ("test, tuned", "41.0", "46.0", "+5.00"),
    ]
    assert parameter_table(data)[0] == ("detector.blocks", "1 .. 4", "2", "4")
    assert parameter_table(data)[-1] == ("detector.nms", "tuned at inference", "0.4", "0.7")
    assert any("no matches_test_tuned.arrow" in warning for warning in data.warnings)


def test_importances_find_the_parameter_that_decides(folder):
    study = make_sweep(trials=30)
    _run(folder, study, _points(24))
    shares = collect(study, folder).sweep.importances.values
    assert next(iter(shares)) == "detector.blocks"
    assert shares["detector.blocks"] > 0.5
    assert sum(shares.values()) == pytest.approx(1.0)


def test_few_trials_have_no_importances(folder):
    study = make_sweep()
    _run(folder, study, _points(7))
    found = collect(study, folder).sweep.importances
    assert (found.values, found.reason) == ({}, "7 complete trials; importances need 8")


def test_equal_scores_have_no_importances(folder):
    study = make_sweep()
    _run(folder, study, [(values, 0.4) for values, _ in _points(10)])
    assert collect(study, folder).sweep.importances.reason == "every complete trial has the same score"


def test_a_parameter_whose_condition_does_not_hold_was_not_sampled(folder):
    study = make_sweep()
    when = (("detector.mode", ("attention",)),)
    space = (*study.sweep.space[:2], Parameter("detector.x", "float", 0.01, 1.0, log=True, when=when))
    study = dataclasses.replace(study, sweep=dataclasses.replace(study.sweep, space=space))
    _run(folder, study, [({}, 0.4), ({"detector.mode": "attention"}, 0.5)])
    values = [t.values for t in collect(study, folder).sweep.trials]
    assert ["detector.x" in v for v in values] == [False, True]


def test_start_sentence_names_what_is_not_the_papers(folder):
    _run(folder, make_sweep(), [({}, 0.4)])
    assert start_sentence(collect(make_sweep(), folder)) == "The starting point has the paper's values."
    changed = make_sweep(values={"detector.epochs": 3})
    assert start_sentence(collect(changed, folder)).endswith("except for detector.epochs.")


def test_no_record_at_all(folder):
    data = collect(make_sweep(), folder)
    assert data.sweep.trials == ()
    assert answer(data) == "No trial has finished yet, so there is no answer."
