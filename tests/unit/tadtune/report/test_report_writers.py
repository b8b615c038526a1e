from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_studies import finish_with_videos, make_ablation, make_sweep, planned, sweep_trial
from rich.console import Console

from tadtune.report import write_reports
from tadtune.report.collect import collect
from tadtune.report.csv import ABLATION_HEADINGS
from tadtune.report.figures import BLUE, ORANGE
from tadtune.report.markdown import _table
from tadtune.report.summaries import summary_runs
from tadtune.report.terminal import print_report

EVIL = "<script>alert('row')</script>"
VIDEO = "</script><img src=x onerror=alert(2)>"


def _write_evidence(artifacts, rng):
    """Classes and one video, with names nobody should use."""
    content = {"Diving": {"avg_map": 0.5, "map_tiou_0.50": 0.6}, EVIL: {"avg_map": 0.1, "map_tiou_0.50": 0.2}}
    (artifacts / "per_class_test.json").write_text(json.dumps(content), encoding="utf-8")
    annotations = [{"segment": [1.0, 5.0], "label": "Diving"}, {"segment": [20.0, 30.0], "label": EVIL}]
    truth = {"videos": {VIDEO: {"duration_s": 60.0, "annotations": annotations}}}
    (artifacts / "truth_test.json").write_text(json.dumps(truth), encoding="utf-8")
    starts = rng.uniform(0, 50, 30)
    entries = [{"segment": [s, s + 5.0], "label": "Diving", "score": 0.01 * i} for i, s in enumerate(starts, start=1)]
    (artifacts / "detections_test.json").write_text(json.dumps({"results": {VIDEO: entries}}), encoding="utf-8")


@pytest.fixture
def ablation(folder):
    rows = {"baseline": ({"detector.blocks": 1}, "baseline"), EVIL: ({"detector.blocks": 3}, "full")}
    study = make_ablation(rows, paper="kt_mgfn", table="table_5", claim="A & B > C")
    rng = np.random.default_rng(0)
    for (row, seed), trial in planned(study).items():
        base = 0.3 if row == "baseline" else 0.4
        artifacts = finish_with_videos(folder, trial, rng.normal(base + seed / 100, 0.1, 40))
        _write_evidence(artifacts, rng)
    return study


@pytest.fixture
def sweep(folder):
    study = make_sweep(claim="A & B > C", inner=True)
    rng = np.random.default_rng(1)
    for number in range(12):
        values = {"detector.x": 0.02 + 0.05 * number, "detector.blocks": 1 + number % 4} if number else {}
        status = "pruned" if number == 7 else "complete"
        trial = sweep_trial(study, values)
        artifacts = finish_with_videos(
            folder, trial, rng.normal(0.3 + number / 50, 0.1, 40), status=status, finished_at=float(number)
        )
        _write_evidence(artifacts, rng)
    return study


class _Page(HTMLParser):
    """Tags, the text of every table cell, and the JSON of every figure."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.figures, self._open = [], [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag in ("td", "th"):
            self.cells.append("")
            self._open = "cell"
        elif tag == "script" and given.get("type") == "application/json":
            self._open = given["id"].removesuffix("-spec")

    def handle_endtag(self, tag):
        if tag in ("td", "th", "script"):
            self._open = None

    def handle_data(self, data):
        if self._open == "cell":
            self.cells[-1] += data
        elif self._open is not None:
            self.figures[self._open] = json.loads(data)


def _page(study, folder):
    return _Page(write_reports(study, folder)["html"].read_text(encoding="utf-8"))


def test_three_files_are_written_whole(ablation, folder):
    paths = write_reports(ablation, folder)
    assert {kind: path.name for kind, path in paths.items()} == {
        "html": "report.html",
        "md": "report.md",
        "csv": "report.csv",
    }
    assert sorted(p.name for p in folder.report.iterdir()) == ["report.csv", "report.html", "report.md"]


def test_page_shows_the_table(ablation, folder):
    cells = [" ".join(cell.split()) for cell in _page(ablation, folder).cells]
    for expected in ("baselinesimple CAS", "13.8", "22.7", "+8.90", f"{EVIL}all four"):
        assert expected in cells
    data = collect(ablation, folder)
    assert any(
        cell.startswith(f"{100 * data.ablation.rows[1].differences['test/map_tiou_0.50'].mean:+.2f}") for cell in cells
    )


@pytest.mark.parametrize("name", ["ablation", "sweep"])
def test_names_from_outside_open_no_tag(name, folder, request):
    page = _page(request.getfixturevalue(name), folder)
    assert not [given for tag, given in page.tags if tag == "img" or any(key.startswith("on") for key in given)]
    assert [given.get("type") for tag, given in page.tags if tag == "script" and "type" not in given] == [None, None]


@pytest.mark.parametrize("name", ["ablation", "sweep"])
def test_figures_are_valid_plotly_and_hold_no_markup_from_outside(name, folder, request):
    page = _page(request.getfixturevalue(name), folder)
    assert {"classes", "timeline-0"} <= page.figures.keys()
    for spec in page.figures.values():
        go.Figure(spec)  # an attribute Plotly does not know raises
        assert "<script" not in json.dumps(spec)
        assert "<img" not in json.dumps(spec)


def test_page_needs_no_network(ablation, folder):
    page = _page(ablation, folder)
    assert not [t for t, given in page.tags if "src" in given or given.get("href", "data:").startswith("http")]
    policy = next(g["content"] for t, g in page.tags if g.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_page_is_accessible(sweep, folder):
    page = _page(sweep, folder)
    assert ("html", {"lang": "en"}) in page.tags
    plots = [given for _, given in page.tags if given.get("class") == "plot"]
    assert plots and all(given["role"] == "img" and len(given["aria-label"]) > 20 for given in plots)
    assert all("scope" in given for tag, given in page.tags if tag == "th")
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))


def test_ablation_figures_hold_the_numbers(ablation, folder):
    page = _page(ablation, folder)
    row = collect(ablation, folder).ablation.rows[1]
    gap = row.differences["test/map_tiou_0.50"]
    ours, paper = page.figures["forest"]["data"]
    assert ours["x"] == pytest.approx([100 * gap.mean])
    assert ours["error_x"]["array"] == pytest.approx([100 * (gap.interval.high - gap.mean)])
    assert ours["error_x"]["arrayminus"] == pytest.approx([100 * (gap.mean - gap.interval.low)])
    assert paper["x"] == pytest.approx([8.9])
    seeds, means = page.figures["seeds"]["data"]  # other data: the paper's values are not on this axis
    assert len(seeds["x"]) == 6
    assert means["x"][1] == pytest.approx(100 * row.statistics.metrics["test/map_tiou_0.50"].mean)


def test_timelines_show_true_segments_and_the_highest_scores(ablation, folder):
    true, *predicted = _page(ablation, folder).figures["timeline-0"]["data"]
    assert (true["base"], true["x"]) == ([1.0, 20.0], [4.0, 10.0])
    assert len(predicted) == 2
    assert all(len(bars["x"]) == 5 for bars in predicted)  # twice the true segments, at least five
    assert all(bars["marker"]["color"][0].endswith(", 1.000)") for bars in predicted)
    assert [bars["marker"]["line"]["color"] for bars in predicted] == [BLUE, ORANGE]
    assert "score 0.300" in predicted[0]["text"][0]


def test_sweep_figures_hold_the_numbers(sweep, folder):
    page = _page(sweep, folder)
    data = collect(sweep, folder)
    best, complete, pruned, start = page.figures["history"]["data"]
    assert best["y"] == sorted(best["y"])
    assert (len(complete["x"]), len(pruned["x"]), len(start["x"])) == (11, 1, 1)
    assert max(complete["y"]) == pytest.approx(100 * data.sweep.best.objective)
    scatter = page.figures["parameter-2"]
    assert scatter["layout"]["xaxis"]["type"] == "log"
    assert sorted(scatter["data"][0]["x"]) == sorted(t.values["detector.x"] for t in data.sweep.trials if t.number != 8)
    assert sum(page.figures["importances"]["data"][0]["x"]) == pytest.approx(100)


def test_csv_has_a_line_per_row_and_metric(ablation, folder):
    text = write_reports(ablation, folder)["csv"].read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert tuple(lines[0]) == ABLATION_HEADINGS
    assert len(lines) == 2 * 3
    line = next(entry for entry in lines if entry["row"] == EVIL and entry["metric"] == "map_tiou_0.50")
    row = collect(ablation, folder).ablation.rows[1]
    assert float(line["mean"]) == row.statistics.metrics["test/map_tiou_0.50"].mean
    assert float(line["paper"]) == pytest.approx(0.227)
    assert (line["sign_agrees"], line["seeds_finished"], line["dataset"]) == ("True", "3", "lab_data")
    assert len(line["values"].split()) == 3


def test_csv_of_a_sweep_has_every_trial(sweep, folder):
    lines = list(csv.DictReader(io.StringIO(write_reports(sweep, folder)["csv"].read_text(encoding="utf-8"))))
    assert {line["trial"] for line in lines} == {str(n) for n in range(1, 13)}
    assert [line["metric"] for line in lines if line["status"] == "pruned"] == [""]
    assert {line["role"] for line in lines} == {"start", "best", ""}


def test_markdown_shows_table_answer_and_setting(ablation, folder):
    text = write_reports(ablation, folder)["md"].read_text(encoding="utf-8")
    assert "**Claim.** A &amp; B &gt; C" in text
    assert "> Not a reproduction: measured on lab_data" in text
    assert re.search(r"^\| baseline \(simple CAS\) \| 13\.8 \| ", text, re.MULTILINE)
    assert "<script" not in text
    assert "| data set | thumos14 | lab_data |" in text


@given(st.lists(st.lists(st.text(max_size=12), min_size=3, max_size=3), max_size=4))
def test_no_cell_breaks_a_markdown_table(rows):
    lines = _table(("a", "b", "c"), rows)
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 4
        assert "\n" not in line and "\r" not in line
        assert not re.search(r"<[a-zA-Z/!]", line)


@pytest.mark.parametrize("width", [80, 160])
def test_terminal_shows_the_same_table(ablation, folder, width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_report(ablation, folder, console)
    text = console.export_text()
    for expected in ("13.8", "22.7", "+8.90", "Not a reproduction", "3 seeds", "agrees"):
        assert expected in text


def test_terminal_takes_names_for_text_not_markup(folder):
    study = make_ablation({"base": ({}, None), "[bold red]x[/]": ({"detector.blocks": 3}, None)})
    for trial in planned(study).values():
        finish_with_videos(folder, trial, np.full(10, 0.3))
    console = Console(width=160, record=True, file=io.StringIO())
    print_report(study, folder, console)
    assert "[bold red]x[/]" in console.export_text()


def test_terminal_shows_a_sweep(sweep, folder):
    console = Console(width=160, record=True, file=io.StringIO())
    print_report(sweep, folder, console)
    text = console.export_text()
    for expected in ("detector.blocks", "starting point", "The starting point has the paper's values.", "on select"):
        assert expected in text


def test_summaries_put_ours_and_the_papers_under_one_name(ablation, folder):
    runs = {(run.kind, run.name): run for run in summary_runs(ablation, folder)}
    ours = runs["aggregate", f"{EVIL} (mean of seeds)"]
    statistics = collect(ablation, folder).ablation.rows[1].statistics.metrics["test/map_tiou_0.50"]
    assert ours.metrics["test/map_tiou_0.50"] == statistics.mean
    assert ours.metrics["test/map_tiou_0.50_sd"] == statistics.sd
    assert ours.metrics["test/map_tiou_0.50_low"] == statistics.interval.low
    assert ours.tags["seeds"] == "3 of 3"
    paper = runs["reference", "paper: kt_mgfn table_5 full"]
    assert paper.metrics == {"test/map_tiou_0.50": pytest.approx(0.227)}
    assert len([kind for kind, _ in runs if kind == "reference"]) == 5


def test_rows_without_a_finished_seed_have_no_summary(folder):
    study = make_ablation({"a": ({}, None), "b": ({"detector.blocks": 3}, None)})
    finish_with_videos(folder, planned(study)["a", 0], np.full(10, 0.3))
    assert [run.name for run in summary_runs(study, folder)] == ["a (mean of seeds)"]
    assert summary_runs(study, folder)[0].tags["seeds"] == "1 of 3"
