from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from report_studies import PARTS, LabData, LabProtocol, finish, finish_with_videos, install, make_ablation, planned

from tadtune.plan.ablation import rows_on_baseline_data
from tadtune.report.ablation_figures import ablation_figures
from tadtune.report.answer import answer, data_notice, noise_sentence
from tadtune.report.collect import collect
from tadtune.report.resampling import resample_trial
from tadtune.report.table import ablation_table
from tadtune.spec.space import Parameter
from tadtune.spec.study import InferenceSearch, Metric
from tadtune.spec.tables import find_table
from tadtune.track.statistics import video_weights

ROWS = {
    "baseline": ({"detector.blocks": 1}, "baseline"),
    "mdcm": ({"detector.blocks": 2}, "plus_mdcm"),
    "full": ({"detector.blocks": 3}, "full"),
}
PAPER = {"paper": "kt_mgfn", "table": "table_5"}  # map_tiou_0.50: 13.8, 15.4, 22.7 on thumos14


def _videos(mean, seed, num_videos=40):
    rng = np.random.default_rng(9)  # the same videos are hard for every row
    return np.clip(
        mean + rng.normal(0, 0.1, num_videos) + np.random.default_rng(seed).normal(0, 0.01, num_videos), 0, 1
    )


def _run(folder, study, means):
    for (row, seed), trial in planned(study).items():
        finish_with_videos(folder, trial, _videos(means[row], seed))


def test_rows_hold_ours_and_the_papers(folder):
    study = make_ablation(ROWS, **PAPER)
    _run(folder, study, {"baseline": 0.30, "mdcm": 0.35, "full": 0.45})
    data = collect(study, folder)
    rows = {row.row.key: row for row in data.ablation.rows}
    assert data.headline == "map_tiou_0.50"  # the study's metric is avg_map, which the table does not print
    assert rows["full"].paper == {"map_tiou_0.50": pytest.approx(0.227)}
    gap = rows["full"].differences["test/map_tiou_0.50"]
    expected = np.mean([_videos(0.45, s).mean() - _videos(0.30, s).mean() for s in (0, 1, 2)])
    assert gap.mean == pytest.approx(expected)
    assert gap.paper == pytest.approx(0.089)
    assert (gap.method, gap.sign_agrees, gap.excludes_zero) == ("bootstrap_videos_seeds", True, True)
    assert rows["baseline"].differences == {}
    assert data.ablation.rank["test/map_tiou_0.50"].concordant == 3
    assert data.measurement.num_videos == 40
    assert data.warnings == ()


def test_answer_counts_signs_and_order(folder):
    study = make_ablation(ROWS, **PAPER)
    _run(folder, study, {"baseline": 0.40, "mdcm": 0.30, "full": 0.50})
    assert answer(collect(study, folder)) == (
        "On lab_data data, 1 of 2 differences in mAP@0.50 to 'baseline' has the paper's sign, by more than chance "
        "explains; 1 is clearly opposite; 2 of 3 pairs of finished rows stand in the paper's order "
        "(Kendall's tau-b 0.33)."
    )


def test_no_paper_no_sign(folder):
    study = make_ablation({key: (values, None) for key, (values, _) in ROWS.items()})
    _run(folder, study, {"baseline": 0.30, "mdcm": 0.30, "full": 0.45})
    data = collect(study, folder)
    assert data_notice(data) == ""
    assert [row.sign for row in ablation_table(data, "test", "avg_map")] == ["–", "–", "–"]
    assert answer(data) == "1 of 2 rows differs in average mAP from 'baseline' by more than chance explains."


def test_one_row_is_compared_with_nothing(folder):
    study = make_ablation({"baseline": ({}, None)})
    _run(folder, study, {"baseline": 0.30})
    assert answer(collect(study, folder)) == "The study has one row, 'baseline', and nothing to compare it with."


def test_other_data_are_never_a_reproduction(folder):
    study = make_ablation(ROWS, **PAPER)
    _run(folder, study, {"baseline": 0.30, "mdcm": 0.35, "full": 0.45})
    data = collect(study, folder)
    assert not data.setting.same_data
    assert data_notice(data).startswith("Not a reproduction: measured on lab_data, while the paper's Table V was")


def test_same_data_are_said_to_be(folder, monkeypatch):
    install(monkeypatch.setattr, thumos14=LabData)
    study = make_ablation(ROWS, parts=dataclasses.replace(PARTS, dataset="thumos14"), **PAPER)
    _run(folder, study, {"baseline": 0.30, "mdcm": 0.35, "full": 0.45})
    data = collect(study, folder)
    assert data.setting.same_data
    _, seeds = ablation_figures(data, data.ablation)
    assert seeds.spec["data"][2]["x"] == pytest.approx([13.8, 15.4, 22.7])
    assert data_notice(data) == "Measured on thumos14, the data set of the paper's Table V."
    assert answer(data).startswith("2 of 2 differences")


def test_a_failed_trial_never_becomes_a_score(folder):
    study = make_ablation(ROWS, **PAPER)
    for (row, seed), trial in planned(study).items():
        if (row, seed) == ("full", 2):
            finish(folder, trial, {"test/map_tiou_0.50": 0.99}, status="failed", error="Traceback\nRuntimeError: boom")
        else:
            finish_with_videos(folder, trial, _videos({"baseline": 0.3, "mdcm": 0.35, "full": 0.45}[row], seed))
    data = collect(study, folder)
    full = data.ablation.rows[2]
    assert full.statistics.finished == (0, 1)
    assert max(full.statistics.metrics["test/map_tiou_0.50"].values.values()) < 0.6
    line = ablation_table(data, "test", "map_tiou_0.50")[2]
    assert (line.seeds, line.whole) == ("2 of 3 seeds, 1 failed", False)
    assert line.interval.endswith("(2 seeds)")
    assert data.ablation.rank["test/map_tiou_0.50"].rows == 2  # the unfinished row has no place in the order
    failed = planned(study)["full", 2].id
    assert data.warnings == (f"1 trial failed ({failed}) without a score: RuntimeError: boom",)
    assert answer(data).startswith("So far, with 8 of 9 trials finished: on lab_data data, ")


def test_rows_not_started_are_shown_empty(folder):
    study = make_ablation(ROWS, **PAPER)
    for (row, seed), trial in planned(study).items():
        if row != "full":
            finish_with_videos(folder, trial, _videos(0.3, seed))
    line = ablation_table(collect(study, folder), "test", "map_tiou_0.50")[2]
    assert (line.ours, line.seeds, line.difference, line.sign) == ("–", "0 of 3 seeds, 3 missing", "–", "–")


def test_nothing_finished(folder):
    data = collect(make_ablation(ROWS, **PAPER), folder)
    assert answer(data) == "No trial has finished yet, so there is no answer."
    assert data.measurement.num_videos is None


def test_missing_matches_fall_back_and_say_so(folder):
    study = make_ablation(ROWS, **PAPER)
    _run(folder, study, {"baseline": 0.30, "mdcm": 0.35, "full": 0.45})
    (folder.record(planned(study)["mdcm", 1].id).artifacts / "matches_test.arrow").unlink()
    data = collect(study, folder)
    methods = [row.differences["test/map_tiou_0.50"].method for row in data.ablation.rows[1:]]
    assert methods == ["t_seeds", "bootstrap_videos_seeds"]
    assert data.warnings == (
        "Not resampled over videos, intervals are over seeds only (no matches_test.arrow): mdcm seed 1.",
    )


def test_matches_of_another_score_are_not_used(folder):
    study = make_ablation(ROWS, **PAPER)
    _run(folder, study, {"baseline": 0.30, "mdcm": 0.35, "full": 0.45})
    path = folder.record(planned(study)["mdcm", 1].id).artifacts / "matches_test.arrow"
    path.write_text("[[0.9, 0.9], [0.8, 0.8]]", encoding="utf-8")
    data = collect(study, folder)
    assert data.ablation.rows[1].differences["test/map_tiou_0.50"].method == "t_seeds"
    assert "does not give the recorded scores" in data.warnings[0]


def test_unreadable_matches_are_named(folder):
    study = make_ablation(ROWS, **PAPER)
    _run(folder, study, {"baseline": 0.30, "mdcm": 0.35, "full": 0.45})
    (folder.record(planned(study)["full", 0].id).artifacts / "matches_test.arrow").write_text("torn", encoding="utf-8")
    warning = collect(study, folder).warnings[0]
    assert "matches_test.arrow cannot be used" in warning
    assert "full seed 0" in warning


def test_other_test_videos_are_not_paired(folder):
    rows = {"a": ({}, None), "b": ({"dataset.seed": 1}, None)}
    study = make_ablation(rows)
    for (row, seed), trial in planned(study).items():
        finish_with_videos(folder, trial, _videos(0.3, seed), provenance={"data": row * 64})
    data = collect(study, folder)
    assert data.ablation.rows[1].differences["test/avg_map"].method == "t_seeds"
    assert data.warnings == ("Row 'b' was scored on other test videos than 'a': its intervals are over seeds only.",)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"code": "e" * 64}, "code"),
        ({"data": "e" * 64}, "data"),
        ({"versions": {"torch": "2.9.0"}}, "library versions"),
    ],
)
def test_trials_of_different_origin_are_warned_about(folder, changed, what):
    study = make_ablation(ROWS)
    for (row, seed), trial in planned(study).items():
        provenance = changed if (row, seed) == ("full", 0) else {}
        finish_with_videos(folder, trial, _videos(0.3, seed), provenance=provenance)
    data = collect(study, folder)
    assert data.warnings[0].startswith(f"Trials were recorded with different {what} (8 with ")
    assert [origin.trials for origin in data.measurement.origins] == [8, 1]


def test_rows_of_equal_settings_share_their_trials(folder):
    study = make_ablation({"a": ({}, None), "again": ({}, None)})
    for trial in planned(study).values():
        finish_with_videos(folder, trial, _videos(0.3, trial.seed))
    data = collect(study, folder)
    gap = data.ablation.rows[1].differences["test/avg_map"]
    assert (gap.mean, gap.excludes_zero) == (0.0, False)
    assert data.measurement.planned == 3


def test_tuned_values_are_shown_beside_the_untuned(folder):
    space = (Parameter("detector.nms", "float", 0.1, 0.9, acts="inference"),)
    study = make_ablation(ROWS, inference=InferenceSearch(space, 5))
    for (row, seed), trial in planned(study).items():
        mean = {"baseline": 0.3, "mdcm": 0.3, "full": 0.4}[row]
        values = {"test/avg_map": mean + seed / 100, "test_tuned/avg_map": mean + 0.1 + seed / 100}
        finish(folder, trial, values)
    data = collect(study, folder)
    assert data.splits == ("test", "test_tuned")
    assert [row.ours for row in ablation_table(data, "test_tuned", "avg_map")] == [
        "41.0 ± 2.5",
        "41.0 ± 2.5",
        "51.0 ± 2.5",
    ]


def test_deviations_from_the_papers_setting(folder):
    rows = {key: ({**values, "detector.epochs": 5}, paper) for key, (values, paper) in ROWS.items()}
    study = make_ablation(rows, **PAPER)
    found = {d.what: d for d in collect(study, folder).setting.deviations}
    assert (found["data set"].paper, found["data set"].ours) == ("thumos14", {"lab_data": ""})
    assert (found["detector.epochs"].paper, found["detector.epochs"].ours) == ("30", {"5": ""})
    assert found["detector.epochs"].source == "IV-B"
    assert found["detector.blocks"].ours == {"1": "baseline", "3": "full"}  # 2 is the paper's
    assert (found["epochs of training"].paper, found["epochs of training"].ours) == ("30", {"5": ""})
    assert found.keys() == {"data set", "detector.blocks", "detector.epochs", "epochs of training"}


def test_the_papers_setting_is_the_preset_where_the_study_names_one(folder):
    preset = {"detector.blocks": 3, "detector.epochs": 12}
    rows = {"a": ({**preset, "detector.epochs": 5}, None), "b": ({**preset, "detector.mode": "attention"}, None)}
    study = make_ablation(rows, preset=preset)
    found = {d.what: (d.paper, d.ours) for d in collect(study, folder).setting.deviations}
    assert found == {
        "detector.epochs": ("12", {"5": "a"}),
        "detector.mode": ("plain", {"attention": "b"}),
        "epochs of training": ("12", {"5": "a"}),
    }


def test_metrics_the_protocol_does_not_measure_are_named(folder):
    study = make_ablation({"a": ({}, "ours")}, paper="sp_tad", table="table1")
    found = {d.what: d for d in collect(study, folder).setting.deviations}
    assert "no map_tiou_0.30, map_tiou_0.40, map_tiou_0.60, map_tiou_0.70" in found["metrics of the table"].ours
    assert found["tIoU thresholds"].ours == {"avg_map is the mean over 0.50": ""}


def test_noise_sentence_names_what_the_seeds_can_find(folder):
    study = make_ablation(ROWS)
    for trial in planned(study).values():
        finish(folder, trial, {"test/avg_map": 0.3 + trial.seed / 100})
    assert noise_sentence(collect(study, folder)) == (
        "Seeds of one configuration differ by 1.00 points (standard deviation of 9 finished trials of this study): "
        "3 seeds per row find true differences of 3.07 points and more (80 % power, 5 % level)."
    )


def test_a_row_on_other_data_has_no_part_in_the_noise(folder):
    """Such as a control at chance, whose seeds hardly differ."""
    control = {"control": ({"dataset.seed": 7}, None)}
    study = make_ablation(ROWS | control)
    for (row, seed), trial in planned(study).items():
        finish(folder, trial, {"test/avg_map": 0.0 if row == "control" else 0.3 + seed / 100})
    assert "differ by 1.00 points (standard deviation of 9 finished" in noise_sentence(collect(study, folder))
    assert rows_on_baseline_data(study.ablation) == set(ROWS)


def test_resampling_uses_the_shared_weights(folder):
    study = make_ablation(ROWS)
    trial = planned(study)["full", 0]
    videos = _videos(0.4, 0)
    finish_with_videos(folder, trial, videos)
    record = folder.record(trial.id)
    sample = resample_trial(record, record.result(), LabProtocol())
    expected = video_weights(40) @ videos / 40
    assert sample.metrics["test/avg_map"] == pytest.approx(expected)
    assert sample.videos == ("d" * 64, 40)


def test_tuned_matches_give_the_tuned_metrics(folder):
    trial = planned(make_ablation(ROWS))["full", 0]
    videos = _videos(0.4, 0)
    finish_with_videos(folder, trial, videos, split="test_tuned")
    record = folder.record(trial.id)
    metrics = resample_trial(record, record.result(), LabProtocol()).metrics
    assert metrics.keys() == {"test_tuned/map_tiou_0.50", "test_tuned/avg_map"}
    assert metrics["test_tuned/avg_map"] == pytest.approx(video_weights(40) @ videos / 40)


@pytest.mark.parametrize(
    ("name", "headline"), [("avg_map", "avg_map"), ("map_tiou_0.50", "map_tiou_0.50"), ("ar_an_100", "map_tiou_0.50")]
)
def test_headline_is_the_studys_metric_where_the_paper_prints_it(folder, name, headline):
    rows = find_table("sp_tad", "table1").rows.values()
    key = next(row.key for row in rows if {"avg_map", "map_tiou_0.50"} <= row.values.keys())
    study = make_ablation({"a": ({}, key)}, paper="sp_tad", table="table1", metric=Metric(name, "max"))
    assert collect(study, folder).headline == headline
