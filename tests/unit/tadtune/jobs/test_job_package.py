"""What is uploaded: the study, the packages it names with their entry points, and not a file more."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import tadtune
from tadtune.jobs.package import Package, select_files
from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study

CODE = Path(tadtune.__file__).parent


@pytest.fixture
def study_file(tmp_path: Path, toy_sweep: dict[str, Any]) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(toy_sweep))
    return path


@pytest.fixture
def lab_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a lab, with what piles up in a working folder beside its code."""
    folder = tmp_path / "site" / "lab_helpers"
    for name in ("__init__.py", "deep/part.py", "deep/table.json", "__pycache__/x.pyc", ".git/config", "deep/y.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x = 1\n")
    (tmp_path / "site" / "alone.py").write_text("x = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def selected(study_file: Path, raw: dict[str, Any], **options: Any) -> Package:
    return select_files(study_file, parse_study(raw), **{"installed": False, "modules": (), **options})


def test_the_engine_the_plugin_and_the_study(study_file: Path, toy_sweep: dict[str, Any]) -> None:
    package = selected(study_file, toy_sweep)
    engine = {p.relative_to(CODE.parent).as_posix() for p in CODE.rglob("*") if p.suffix in (".py", ".yaml", ".html")}
    assert engine <= set(package.files)
    tops = {name.split("/")[0] for name in (*package.files, *package.texts)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "study.yaml",
        "tadtune",
        "trainables",  # the engine's distribution declares its commands, which are loaded at every start
        "tadtune_toy.py",
    }
    assert "[tadtune.trainables]" in package.texts["tadtune_toy-1.0.dist-info/entry_points.txt"]
    assert not [name for name in package.files if "__pycache__" in name or name.endswith(".pyc")]


def test_an_installed_engine_stays_here(study_file: Path, toy_sweep: dict[str, Any]) -> None:
    package = selected(study_file, toy_sweep, installed=True)
    assert set(package.files) == {"study.yaml", "tadtune_toy.py"}
    assert package.num_files == 4
    assert package.num_bytes == sum(p.stat().st_size for p in package.files.values()) + sum(
        len(text) for text in package.texts.values()
    )


def test_components_of_rows_are_taken_along(study_file: Path, toy_ablation: dict[str, Any]) -> None:
    study = parse_study(toy_ablation)
    installed = dataclasses.replace(
        study.parts, trainable="detection", detector="kt_mgfn", dataset="synthetic", protocol="wtalc"
    )
    mixed = dataclasses.replace(study, parts=installed)
    assert set(select_files(study_file, mixed, installed=True, modules=()).files) == {"study.yaml", "tadtune_toy.py"}
    assert mixed.ablation is not None
    rows = tuple(dataclasses.replace(row, parts=installed) for row in mixed.ablation.rows)
    plain = dataclasses.replace(mixed, ablation=dataclasses.replace(mixed.ablation, rows=rows))
    assert set(select_files(study_file, plain, installed=True, modules=()).files) == {"study.yaml"}


def test_a_named_package_without_what_piles_up(study_file: Path, toy_sweep: dict[str, Any], lab_package: Path) -> None:
    package = selected(study_file, toy_sweep, installed=True, modules=("lab_helpers", "alone"))
    own = {name for name in package.files if name.startswith(("lab_helpers", "alone"))}
    assert own == {"lab_helpers/__init__.py", "lab_helpers/deep/part.py", "lab_helpers/deep/table.json", "alone.py"}


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        ("no_such_lab", "package: 'no_such_lab' cannot be imported here"),
        ("_ctypes", r"package: '_ctypes' is no Python source"),
    ],
)
def test_packages_that_cannot_be_taken(
    study_file: Path, toy_sweep: dict[str, Any], module: str, complaint: str
) -> None:
    with pytest.raises(StudyError, match=complaint):
        selected(study_file, toy_sweep, modules=(module,))


def test_a_package_that_ray_would_refuse_is_refused_before_the_upload(tmp_path: Path) -> None:
    sizes = {"a.py": 300, "big.bin": 900, "bigger.bin": 1000, "mid.bin": 500}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"\0" * size)
    package = Package({name: tmp_path / name for name in sizes}, {"t": "é" * 50})
    assert package.num_bytes == 2700 + 100
    package.check_size(2801)
    with pytest.raises(StudyError, match=r"upload: 5 files of 0.0 MiB") as caught:
        package.check_size(2800)
    named = str(caught.value).split("the largest: ")[1]
    assert [word for word in ("bigger.bin", "big.bin", "mid.bin", "a.py") if str(tmp_path / word) in named] == [
        "bigger.bin",
        "big.bin",
        "mid.bin",
    ]
    assert named.index("bigger.bin") < named.index("big.bin") < named.index("mid.bin")


def test_the_laid_out_folder_runs_alone(tmp_path: Path, study_file: Path, toy_sweep: dict[str, Any]) -> None:
    """As on the cluster: nothing but the folder on the path, components found by name."""
    folder = tmp_path / "job"
    selected(study_file, toy_sweep).write(folder)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "tadtune", "plan", "study.yaml", "--storage", str(tmp_path / "runs")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "toy/sweep" in done.stdout
    where = (
        "import tadtune, tadtune_toy, trainables; print(tadtune.__file__, tadtune_toy.__file__, trainables.__path__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", where], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count(str(folder)) == 3
