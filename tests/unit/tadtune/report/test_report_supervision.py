"""A configuration that is handed stronger labels than its detector as such is never shown without a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from report_studies import LabDetector, finish, install, make_ablation, make_sweep, planned, sweep_trial

from tadtune.report.collect import collect
from tadtune.report.markdown import render_markdown

SENTENCE = (
    "Detector 'lab_detector' is known for training with video labels, but reads annotated segments in {}: not "
    "comparable with results of video labels alone."
)


@dataclass(frozen=True)
class WeakDetector(LabDetector):
    """Looks at boundaries as soon as it pools by attention."""

    supervision: ClassVar[str] = "video_labels"

    def __post_init__(self) -> None:
        if self.mode == "attention":
            object.__setattr__(self, "supervision", "segments")


@pytest.fixture(autouse=True)
def weak(folder, monkeypatch):
    """Used after the parts that ``folder`` installs."""
    install(monkeypatch.setattr, lab_detector=WeakDetector)


def test_rows_that_read_boundaries_are_named(folder):
    rows = {
        "plain": {},
        "prior": {"detector.mode": "attention"},
        "both": {"detector.mode": "attention", "detector.x": 1.0},
    }
    study = make_ablation({key: (values, None) for key, values in rows.items()})
    for trial in planned(study).values():
        finish(folder, trial, {"test/avg_map": 0.5})
    data = collect(study, folder)
    assert SENTENCE.format("row 'prior', row 'both'") in data.warnings
    assert "not comparable with results of video labels alone" in render_markdown(data)


def test_rows_with_the_usual_labels_are_not(folder):
    study = make_ablation({"plain": ({}, None), "other": ({"detector.x": 1.0}, None)})
    assert not any("known for training" in warning for warning in collect(study, folder).warnings)


@pytest.mark.parametrize(("best", "named"), [("attention", True), ("plain", False)])
def test_of_a_sweep_the_trials_that_are_shown_count(folder, best, named):
    study = make_sweep()
    for mode, blocks, score in (("plain", 2, 0.3), (best, 3, 0.6), ("attention", 4, 0.1)):
        trial = sweep_trial(study, {"detector.mode": mode, "detector.blocks": blocks})
        finish(folder, trial, {"select/avg_map": score, "test/avg_map": score}, objective=score)
    assert (SENTENCE.format("the best trial") in collect(study, folder).warnings) == named
