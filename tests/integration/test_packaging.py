"""The wheel: studies and paper tables inside, nothing that does not belong."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def test_a_built_wheel_works_alone(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
        timeout=200,
    )
    (wheel,) = tmp_path.glob("tadtune-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert "tadtune/search_spaces/kt_mgfn/demo_sweep.yaml" in names
    assert "tadtune/spec/paper_tables/kt_mgfn.yaml" in names
    assert "tadtune/report/templates/report.html" in names
    assert not [n for n in names if n.startswith(("tests", "platform/", "benchmarks"))]
    # the unpacked wheel in front of the checkout: its own studies are found and load
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = "import sys, tadtune; from tadtune.cli import main; print(tadtune.__file__); sys.argv[1:] = {}; main()"
    for words in (["list", "studies"], ["plan", "kt_mgfn/demo_ablation"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(words)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert str(tmp_path / "site") in done.stdout
        assert "demo_ablation" in done.stdout


def test_the_standard_librarys_platform_stays_visible() -> None:
    code = "import platform, tadtune, trainables; platform.python_version()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (ROOT / "platform" / "__init__.py").exists()
