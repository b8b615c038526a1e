"""From a video file to scored detections: the sequence of commands in the documentation, run as a reader would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.data.features.store import FeatureStore

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
(BLOCK,) = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "data.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_a_video_becomes_scored_detections(tmp_path: Path, test_data: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HIGHJUMP": str(test_data / "features" / "highjump"),
        "COLUMNS": "160",
    }
    outputs = []
    for command in BLOCK.splitlines():
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)
    assert "1 of 1 videos have features, 0 failed" in outputs[1]
    left_out = "2 videos left out, no features in features: golf, tennis26"
    assert left_out in outputs[2]
    assert left_out in outputs[3]
    assert left_out in (tmp_path / "runs" / "kt_mgfn__one_video" / "report" / "report.html").read_text()

    (video,) = FeatureStore(tmp_path / "data" / "highjump").videos
    assert video["num_snippets"] == 46  # 726 frames, 16 each, the last one padded
    assert video["fps"] == pytest.approx(30.0)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["tiou_thresholds"] == [0.3, 0.5, 0.7]
    assert list(scores["per_class_ap"]) == ["HighJump"]
    assert scores["counts"]["instances"] == 1
    assert scores["counts"]["predictions"] > 0
    # the trial scored the same file alike
    (trial,) = (tmp_path / "runs" / "kt_mgfn__one_video" / "trials").iterdir()
    recorded = json.loads((trial / "result.json").read_text())["metrics"]
    assert recorded["test/avg_map"] == pytest.approx(scores["average_map"], abs=1e-12)
