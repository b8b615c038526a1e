"""The page as a browser shows it: on a phone and a desktop, light and dark, with no network."""

from __future__ import annotations

import dataclasses
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "tadtune" / "report"))

from browsing import CONTRAST, needs_browser, open_browser, set_scheme, set_view
from report_studies import PARTS, finish, install, make_ablation, make_sweep, planned, sweep_trial
from simulated import leave_behind

from tadtune.report import write_reports
from tadtune.spec.study import Metric
from tadtune.track.study_folder import StudyFolder
from trainables.evaluation.charades.detections import Charades25
from trainables.evaluation.detection.protocols import Thumos14Official

QUALITY = {"baseline": 0.50, "plus_mdcm": 0.53, "plus_ccm": 0.38, "plus_ktm": 0.62, "<script>alert(1)</script>": 0.80}

pytestmark = [pytest.mark.browser, needs_browser]

# Whether every figure has drawn at least one of its series.
DRAWN = """
return [...document.querySelectorAll(".plot")]
  .every((plot) => plot.querySelector("svg.main-svg .trace, svg.main-svg .bars"));
"""


def _ablation(storage):
    epochs = {"detector.epochs": 20}
    settings = [{"detector.blocks": 1}, {}, {"detector.blocks": 3}, {"detector.x": 0.2}, {"detector.mode": "attention"}]
    bound = ["baseline", "plus_mdcm", "plus_ccm", "plus_ktm", "full"]
    rows = {key: ({**s, **epochs}, row) for key, s, row in zip(QUALITY, settings, bound, strict=True)}
    study = make_ablation(
        rows,
        parts=dataclasses.replace(PARTS, protocol="thumos14_official"),
        paper="kt_mgfn",
        table="table_5",
        name="kt_mgfn/modules",
        claim="Each of the four modules raises mAP, and all four together most.",
    )
    folder = StudyFolder(storage, study.slug)
    for (row, seed), trial in planned(study).items():
        if (row, seed) == ("plus_ktm", 2):
            finish(folder, trial, {}, status="failed", error="FloatingPointError: class = nan in phase 'joint'")
            continue
        quality = QUALITY[row] + np.random.default_rng(seed).normal(0, 0.02)
        metrics = leave_behind(folder.record(trial.id).artifacts, Thumos14Official(), quality, seed)
        finish(folder, trial, metrics)
    return write_reports(study, folder)["html"]


def _sweep(storage):
    study = make_sweep(
        parts=dataclasses.replace(PARTS, protocol="thumos14_official"),
        name="kt_mgfn/first_sweep",
        claim="The paper's values are close to the best.",
        inner=True,
        trials=14,
    )
    folder = StudyFolder(storage, study.slug)
    for number in range(12):
        values = {"detector.x": 0.02 * 1.4**number, "detector.blocks": 1 + number % 4} if number else {}
        trial = sweep_trial(study, values)
        if number == 5:
            finish(folder, trial, {}, status="pruned", objective=0.3, finished_at=5.0)
            continue
        metrics = {}
        for split, extra in (("test", 0.0), ("test_tuned", 0.03)):
            found = leave_behind(
                folder.record(trial.id).artifacts, Thumos14Official(), 0.4 + 0.03 * number + extra, number, split
            )
            metrics |= found | {name.replace("test", "select"): value for name, value in found.items()}
        finish(folder, trial, metrics, objective=metrics["select_tuned/avg_map"], finished_at=float(number))
    return write_reports(study, folder)["html"]


def _charades(storage):
    """As many classes as Charades has, scored at its 25 points."""
    study = make_ablation(
        {"baseline": ({}, "t3.baseline"), "plus_task_1_2": ({"detector.blocks": 3}, "t3.mac_lce")},
        parts=dataclasses.replace(PARTS, protocol="charades25"),
        metric=Metric("frame_map", "max"),
        paper="three_birds",
        table="table3",
        name="three_birds/household",
        claim="Both tasks together raise per-frame mAP.",
    )
    folder = StudyFolder(storage, study.slug)
    for (row, seed), trial in planned(study).items():
        quality = 0.6 if row == "baseline" else 0.9
        metrics = leave_behind(folder.record(trial.id).artifacts, Charades25(), quality, seed, household=True)
        finish(folder, trial, metrics)
    return write_reports(study, folder)["html"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        install(patch.setattr, thumos14_official=Thumos14Official, charades25=Charades25)
        storage = tmp_path_factory.mktemp("studies")
        return {"ablation": _ablation(storage), "sweep": _sweep(storage), "charades": _charades(storage)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def _open(browser, path, width, scheme):
    from selenium.webdriver.support.ui import WebDriverWait

    set_view(browser, width, scheme)
    browser.get(path.as_uri())
    WebDriverWait(browser, 30).until(lambda b: b.execute_script(DRAWN))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["ablation", "sweep", "charades"])
def test_page_fits_renders_and_is_readable(pages, browser, name, width, scheme):
    _open(browser, pages[name], width, scheme)
    assert browser.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)") == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('.plot')]"
        ".map((plot) => [plot, plot.querySelector('svg.main-svg')].map((e) => e.getBoundingClientRect()))"
        ".map(([p, s]) => [p.width, p.height, s.width, s.height])"
    )
    assert len(boxes) >= 7
    for plot_width, plot_height, svg_width, svg_height in boxes:
        assert svg_width == pytest.approx(plot_width, abs=1.5)
        assert svg_height == pytest.approx(plot_height, abs=1.5)
        assert 200 < plot_width <= width
    seen, poor = browser.execute_script(CONTRAST)
    assert seen > 100
    assert poor == []


# Texts of the lanes of a figure, and their boxes: left, right, top, bottom, the figure's left and its bars' left.
LANES = """
const plot = document.querySelector(arguments[0]);
const edge = plot.querySelector(".plot .gridlayer, .cartesianlayer .plot").getBoundingClientRect().left;
return [...plot.querySelectorAll(".ytick text")].map((label) => {
  const box = label.getBoundingClientRect();
  return [label.textContent, box.left, box.right, box.top, box.bottom, plot.getBoundingClientRect().left, edge];
});
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_labels_of_many_classes_can_be_told_apart(pages, browser, width):
    """Of 157 classes with long names: no two labels alike, none on top of another, none cut off by the edges."""
    _open(browser, pages["charades"], width, "light")
    for figure, fewest in (("#classes", 30), *((f"#timeline-{number}", 8) for number in range(4))):
        labels = browser.execute_script(LANES, figure)
        assert len(labels) >= fewest
        assert len({text for text, *_ in labels}) == len(labels)
        by_place = sorted(labels, key=lambda label: label[3])
        assert all(above[4] <= below[3] + 0.5 for above, below in pairwise(by_place))
        assert all(start <= left < right <= bars for _, left, right, _, _, start, bars in labels)


def test_every_class_is_in_a_table(pages, browser):
    _open(browser, pages["charades"], 390, "light")
    rows = browser.execute_script(
        "return document.querySelectorAll('section[aria-labelledby=per-class] tbody tr').length"
    )
    assert rows == 157


def test_wide_tables_scroll_in_their_own_container(pages, browser):
    _open(browser, pages["ablation"], 390, "light")
    inner, outer = browser.execute_script(
        "const box = document.querySelector('.scroll'); box.scrollLeft = 1000;"
        " return [box.scrollLeft, document.documentElement.scrollLeft];"
    )
    assert inner > 0
    assert outer == 0


def test_figures_follow_the_scheme_without_a_reload(pages, browser):
    from selenium.webdriver.support.ui import WebDriverWait

    colour = "return getComputedStyle(document.querySelector('#forest .ytick text')).fill"
    _open(browser, pages["ablation"], 1280, "light")
    light = browser.execute_script(colour)
    set_scheme(browser, "dark")
    WebDriverWait(browser, 10).until(lambda b: b.execute_script(colour) != light)
    assert browser.execute_script(CONTRAST)[1] == []


def test_a_row_named_like_a_script_is_text(pages, browser):
    from selenium.common.exceptions import NoAlertPresentException

    _open(browser, pages["ablation"], 1280, "light")
    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert.text
    shown = browser.execute_script("return [...document.querySelectorAll('tbody th')].map((cell) => cell.textContent)")
    assert any(text.startswith("<script>alert(1)</script>") for text in shown)
    labels = browser.execute_script(
        "return [...document.querySelectorAll('#forest .ytick text')].map((t) => t.textContent)"
    )
    assert "<script>alert(1)<…" in labels
