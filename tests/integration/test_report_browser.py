"""The page as a browser shows it: on a phone and a desktop, light and dark, with no network."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "tadtune" / "report"))

from browsing import needs_browser, open_browser
from report_studies import PARTS, finish, install, make_ablation, make_sweep, planned, sweep_trial
from simulated import leave_behind

from tadtune.report import write_reports
from tadtune.track.study_folder import StudyFolder
from trainables.evaluation.protocols import Thumos14Official

QUALITY = {"baseline": 0.50, "plus_mdcm": 0.53, "plus_ccm": 0.38, "plus_ktm": 0.62, "<script>alert(1)</script>": 0.80}

pytestmark = [pytest.mark.browser, needs_browser]

# Whether every figure has drawn at least one of its series.
DRAWN = """
return [...document.querySelectorAll(".plot")]
  .every((plot) => plot.querySelector("svg.main-svg .trace, svg.main-svg .bars"));
"""
# Contrast (WCAG 2) of every text with what is painted behind it, and the elements where it is below 4.5.
CONTRAST = """
const parse = (c) => c.match(/[\\d.]+/g).map(Number);
const luminance = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const poor = [];
let seen = 0;
for (const element of document.body.querySelectorAll("*")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || ["SCRIPT", "STYLE"].includes(element.tagName) || element.closest("[aria-hidden]")) continue;
  if (element.getClientRects().length === 0) continue;
  const style = getComputedStyle(element);
  const text = element instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [luminance(parse(text)), luminance(behind(element))].sort((x, y) => y - x);
  seen += 1;
  if ((a + 0.05) / (b + 0.05) < 4.5) poor.push([element.tagName, element.textContent.slice(0, 40), text]);
}
return [seen, poor];
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


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        install(patch.setattr, thumos14_official=Thumos14Official)
        storage = tmp_path_factory.mktemp("studies")
        return {"ablation": _ablation(storage), "sweep": _sweep(storage)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def _scheme(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _open(browser, path, width, scheme):
    from selenium.webdriver.support.ui import WebDriverWait

    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    _scheme(browser, scheme)
    browser.get(path.as_uri())
    WebDriverWait(browser, 30).until(lambda b: b.execute_script(DRAWN))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["ablation", "sweep"])
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
    _scheme(browser, "dark")
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
