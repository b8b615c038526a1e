"""The command line: quick to answer, clear when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tadtune.cli import app


def tadtune(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tadtune", *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        "['--help']",
        "['run', '--help']",
        "['submit', '--help']",
        "['jobs', 'logs', '--help']",
        "['server', 'up', '--help']",
        "['data', '--help']",
        "['list', 'studies']",
    ],
)
def test_help_imports_nothing_heavy(words: str) -> None:
    heavy = "{'ray', 'torch', 'mlflow', 'optuna', 'scipy', 'pandas', 'pyarrow', 'aiohttp', 'requests'}"
    code = f"""
import sys
sys.argv = ["tadtune", *{words}]
from tadtune.cli import main
try:
    main()
except SystemExit:
    pass
loaded = {heavy} & set(sys.modules)
sys.exit(f"loaded {{loaded}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_options_are_these() -> None:
    verbs = ("run", "plan", "report", "ui", "submit", "jobs list", "jobs logs", "jobs stop", "server up")
    person = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})
    shown = {verb: person.invoke(app, [*verb.split(), "--help"]).stdout for verb in verbs}
    options = {verb: sorted({w for w in text.split() if w.startswith("--")}) for verb, text in shown.items()}
    assert options == {
        "run": ["--address", "--data", "--help", "--storage", "--tracking-uri"],
        "plan": ["--help", "--storage"],
        "report": ["--help", "--storage"],
        "ui": ["--help", "--port", "--storage"],
        "submit": [
            "--address",
            "--data",
            "--env",
            "--follow",
            "--help",
            "--installed",
            "--no-follow",
            "--package",
            "--storage",
            "--tracking-uri",
        ],
        "jobs list": ["--address", "--help"],
        "jobs logs": ["--address", "--follow", "--help", "--no-follow"],
        "jobs stop": ["--address", "--help"],
        "server up": [
            "--allowed-host",
            "--backend",
            "--check",
            "--help",
            "--host",
            "--migrate",
            "--port",
            "--storage",
        ],
    }


def test_mistakes_in_a_study_are_lines_not_tracebacks(tmp_path: Path, toy_sweep: dict[str, Any]) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**toy_sweep, "budgt": {}, "metric": {"name": "test/avg_map"}}))
    done = tadtune("run", "s.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: s.yaml: metric.name: a study may not optimise or choose on 'test'; use the same metric on 'select'."
    ]
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**toy_sweep, "budgt": {}}))
    done = tadtune("plan", "s.yaml", folder=tmp_path)
    assert done.stderr.splitlines() == ["error: s.yaml: budgt: unknown key. Did you mean 'budget'?"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.yaml"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("plan", "kt_mgfn/demo_swep"), "Did you mean 'kt_mgfn/demo_sweep'?"),
        (("describe", "kt_mgnf"), "Did you mean 'kt_mgfn'?"),
        (("list", "detector"), "Did you mean 'detectors'?"),
        (("report", "kt_mgfn/demo_sweep"), "no trial has started yet"),
    ],
)
def test_wrong_names(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    done = tadtune(*words, folder=tmp_path)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_describing_a_detector() -> None:
    shown = tadtune("describe", "kt_mgfn").stdout
    assert "ccm.xi_era" in shown
    assert "0.5 .. 0.95" in shown
    assert "inference" in shown
    assert "presets" not in shown
    shown = " ".join(tadtune("describe", "toy").stdout.split())
    assert "presets of toy" in shown
    assert "│ x │ 0.6 │ 0.35 │" in shown
    assert "│ epochs │ 5 │ │" in shown


def test_the_matrix_of_combinations_gives_reasons() -> None:
    shown = " ".join(tadtune("list", "combinations").stdout.split())
    assert "runs" in shown
    assert "rois" in shown  # the task that reads regions, beside a detector without them
    assert "toy_mac + toy_refine" in shown, "a task that builds upon another is shown with it"
    assert "builds upon" not in shown
    assert "answers with" in shown, "and which protocols score a detector"
    assert "takes frame scores" in shown


def test_planning_shows_trials_their_state_and_what_seeds_resolve(tmp_path: Path, toy_ablation: dict[str, Any]) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(toy_ablation))
    shown = " ".join(tadtune("plan", "s.yaml", folder=tmp_path).stdout.split())
    assert shown.count("to run") == 6 + 1
    assert "3 seeds per row resolve differences of 1.44 points" in shown
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.yaml"]
