"""Every command of the README, run as a reader would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ray_heads import ray_head
from toy_runs import answers, free_port, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line for block in blocks("console") for line in block.splitlines() if line.strip()]
#: Run elsewhere: `make test` is what runs this test; the others have a test of their own below.
ELSEWHERE = ("make test", "make demo", "ray job submit", "tadtune data")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the reader has it: the README's study, somebody's detections, the checkout's cluster folder."""
    folder = tmp_path_factory.mktemp("reader")
    (study,) = blocks("yaml")
    (folder / "my_study.yaml").write_text(study)
    segment = {"segment": [1.0, 2.0], "label": "Diving"}
    database = {f"v{i}": {"subset": "test", "annotations": [segment]} for i in range(9)}
    results = {f"v{i}": [{**segment, "score": 1 / (1 + i)}] for i in range(9)}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    (folder / "detections.json").write_text(json.dumps({"results": results}))
    shutil.copytree(ROOT / "cluster", folder / "cluster")
    return folder


def run(command: str, folder: Path, timeout_s: float = 400.0, **more: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    environment |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "160", **more}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_has_commands_and_a_study() -> None:
    assert len(COMMANDS) >= 10
    assert yaml.safe_load(blocks("yaml")[0])["kind"] == "sweep"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """`make demo` with its runs in a scratch folder."""
    folder = tmp_path_factory.mktemp("demo")
    if not (ROOT / ".venv" / ".installed").is_file():
        pytest.skip("runs in a checkout that `make setup` has prepared")
    return folder, run("make demo", ROOT, 600, STORAGE=str(folder / "runs"), DATA=str(folder / "data"))


def test_make_demo(demo: tuple[Path, str]) -> None:
    folder, output = demo
    assert "kt_mgfn/demo_ablation: 15 done" in output
    assert "of 24" in output
    for study in ("kt_mgfn__demo_sweep", "kt_mgfn__demo_ablation"):
        assert (folder / "runs" / study / "report" / "report.html").is_file()
    # numbers on generated features are no reproduction, and the output says so
    assert "THUMOS" in output or "thumos14" in output


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(ELSEWHERE)])
def test_command(command: str, reader: Path, demo: tuple[Path, str]) -> None:
    storage = demo[0] / "runs" if "demo" in command else reader / "runs"
    output = run(command, reader, TADTUNE_STORAGE=str(storage), TADTUNE_DATA=str(reader / "data"))
    assert output.strip()


def test_mlflows_pages(demo: tuple[Path, str]) -> None:
    """`tadtune ui`, which the text names."""
    assert "`tadtune ui`" in README
    port = free_port()
    command = [str(BIN / "tadtune"), "ui", "--storage", str(demo[0] / "runs"), "--port", str(port)]
    pages = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), 180)
    finally:
        os.killpg(pages.pid, 9)
        pages.wait()


def test_data_commands(reader: Path, test_data: Path) -> None:
    clips = test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz"
    for command in (c for c in COMMANDS if c.startswith("tadtune data")):
        output = run(command, reader, CLIPS=str(clips))
    assert "contents match the digest" in output
    assert "push-up" in output


@pytest.fixture
def cluster() -> Iterator[str]:
    """A cluster of its own on this machine; the address of its dashboard."""
    with ray_head({"RAY_AUTH_MODE": "disabled"}) as port:
        yield f"http://127.0.0.1:{port}"


def test_submitting_a_job(reader: Path, cluster: str, tmp_path: Path) -> None:
    (command,) = [c for c in COMMANDS if c.startswith("ray job submit")]
    shared = tmp_path / "shared"
    shared.mkdir()
    output = run(command, reader, 400, RAY_API_SERVER_ADDRESS=cluster, RAY_AUTH_MODE="disabled", SHARED=str(shared))
    assert "succeeded" in output
    assert (shared / "runs" / "mine__first_sweep" / "report" / "report.html").is_file()
