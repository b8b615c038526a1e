"""Shell scripts under ``cluster/``: linted, and clear about what is missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cluster_files import CLUSTER
from linters import shell_problems

BATCH = CLUSTER / "slurm" / "tadtune.sbatch"


@pytest.mark.parametrize("file", [BATCH, CLUSTER / "fill"], ids=lambda file: file.name)
def test_linted(file: Path) -> None:
    assert shell_problems(file) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"$TADTUNE_STUDY" --storage', "$TADTUNE_STUDY --storage", "SC2086"),
        ("trap end EXIT", 'trap "end $head" EXIT', "SC2064"),
        ("port=${TADTUNE_RAY_PORT", "part=${TADTUNE_RAY_PORT", "port"),
        ("\ndone\n", "\n", "syntax error"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = BATCH.read_text()
    assert old in text
    file = tmp_path / "job.sbatch"
    file.write_text(text.replace(old, new))
    found = shell_problems(file)
    assert any(said in line for line in found), found


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", BATCH], env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False
    )


def test_each_missing_variable_is_named(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    token.chmod(0o600)
    whole = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "TADTUNE_STUDY": "kt_mgfn/demo_sweep",
        "TADTUNE_SHARED": str(tmp_path / "none"),
        "TADTUNE_TOKEN_FILE": str(token),
    }
    for variable in whole:
        result = run({key: value for key, value in whole.items() if key != variable})
        assert result.returncode != 0
        assert f"{variable}: " in result.stderr
    result = run(whole)
    assert result.returncode == 1
    assert "TADTUNE_SHARED: " in result.stderr


@pytest.mark.parametrize("fault", ["missing", "empty", "readable"])
def test_a_token_that_does_not_protect_is_refused(tmp_path: Path, fault: str) -> None:
    token = tmp_path / "token"
    if fault != "missing":
        token.write_text("" if fault == "empty" else "abc")
        token.chmod(0o600 if fault == "empty" else 0o640)
    result = run(
        {
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "n[1-2]",
            "TADTUNE_STUDY": "x",
            "TADTUNE_SHARED": str(tmp_path),
            "TADTUNE_TOKEN_FILE": str(token),
        }
    )
    assert result.returncode == 1
    assert "chmod 600" in result.stderr
