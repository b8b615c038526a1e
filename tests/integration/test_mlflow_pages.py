"""MLflow's own pages on a study: the paper's rows and ours in one comparison."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import needs_browser, open_browser
from mlflow import MlflowClient
from toy_runs import Here, MlflowServer, wait_until

from tadtune.track.mlflow_tracking.runs import default_uri

pytestmark = [pytest.mark.slow, pytest.mark.browser, needs_browser]


@pytest.fixture
def storage(tmp_path: Path, ray_cluster: Any, toy_ablation: dict[str, Any]) -> Path:
    """Where an ablation was run."""
    here = Here(tmp_path)
    assert here.run(toy_ablation).counts["complete"] == 6
    return here.root / "runs"


@pytest.fixture
def pages(storage: Path) -> Iterator[str]:
    """Address of a server on the study's runs."""
    server = MlflowServer(storage)
    server.start()
    yield server.uri
    server.kill()


def _text(browser: Any) -> str:
    return str(browser.find_element("tag name", "body").text)


def test_paper_and_measured_in_one_comparison(storage: Path, pages: str, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri=default_uri(storage))
    experiment = client.get_experiment_by_name("toy/ablation")
    assert experiment is not None
    kinds = ("aggregate", "reference")
    runs = [r for r in client.search_runs([experiment.experiment_id]) if r.data.tags["tadtune.kind"] in kinds]
    chosen = urllib.parse.quote(json.dumps([r.info.run_id for r in runs]))
    within = urllib.parse.quote(json.dumps([experiment.experiment_id]))
    browser = open_browser(tmp_path / "profile")
    try:
        browser.get(f"{pages}/#/compare-runs?runs={chosen}&experiments={within}")
        wait_until(lambda: "good (mean of seeds)" in _text(browser))
        # long tables are drawn as far as one has scrolled
        headings = browser.find_elements("xpath", "//*[normalize-space(text())='Metrics']")
        browser.execute_script("arguments[0].scrollIntoView()", [h for h in headings if h.is_displayed()][-1])
        wait_until(lambda: "0.138" in _text(browser))  # the paper's baseline, beside our mean
        text = _text(browser)
    finally:
        browser.quit()
    for name in ("base (mean of seeds)", "good (mean of seeds)", "paper: kt_mgfn table_5 full"):
        assert name in text
    assert "test/map_tiou_0.50" in text
