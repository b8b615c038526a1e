"""The page of ``tadtune eval`` as a browser shows it: on a phone and a desktop, light and dark, with no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import CONTRAST, needs_browser, open_browser, set_view

from trainables.detections import Detections
from trainables.entrypoints.eval_inputs import read_truth
from trainables.evaluation.files.activitynet_json import write_activitynet_json

pytestmark = [pytest.mark.browser, needs_browser]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> Path:
    """Displaced detections of THUMOS'14 scored and diagnosed."""
    folder = tmp_path_factory.mktemp("eval")
    annotations = test_data / "thumos14" / "thumos14.json"
    truth, _ = read_truth(annotations, "auto", "Test")
    rng = np.random.default_rng(0)
    moved = np.maximum(np.sort(truth.segments_s + rng.normal(size=truth.segments_s.shape), axis=1), 0)
    found = Detections(truth.video_ids, truth.video, moved, truth.labels, rng.random(len(truth.labels)))
    write_activitynet_json(folder / "found.json", found, truth.class_names)
    command = [sys.executable, "-m", "tadtune", "eval", str(folder / "found.json"), "--truth", str(annotations)]
    command += ["--subset", "Test", "--diagnose", "--buckets", "thumos14", "--bootstrap", "50"]
    subprocess.run([*command, "--html", str(folder / "page.html")], check=True, capture_output=True)
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_and_is_readable(page: Path, browser: Any, width: int, scheme: str) -> None:
    set_view(browser, width, scheme)
    browser.get(page.as_uri())
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)") == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    heads = browser.execute_script("return [...document.querySelectorAll('h2, h3')].map((e) => e.textContent)")
    assert "AP per class, %" in heads
    assert any(head.startswith("By coverage: sensitivity") for head in heads)
    rows = browser.execute_script("return document.querySelectorAll('td.ap').length")
    assert rows == 20 * 11
    seen, poor = browser.execute_script(CONTRAST)
    assert seen > 300
    assert poor == []
