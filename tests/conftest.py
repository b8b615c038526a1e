"""Shared fixtures: the toy plug-in, the folder of real data, one Ray session for all integration tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# what an example takes says more about the machine's load than about the code
settings.register_profile("tadtune", deadline=None)
settings.load_profile("tadtune")

PLUGINS = Path(__file__).parent / "plugins"
# workers and command-line subprocesses find the plug-in as well
os.environ["PYTHONPATH"] = os.pathsep.join([str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# Ray Train looks every two seconds otherwise, and a short trial waits for it several times
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
sys.path.insert(0, str(PLUGINS))
# a shell that runs the tests in the background has them ignore Ctrl-C, and so everything that they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real annotations, features and clips."""
    folder = os.environ.get("TADTUNE_TEST_DATA")
    if not folder:
        pytest.skip("needs real data: set TADTUNE_TEST_DATA to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """One local Ray for all tests that need one."""
    from tadtune.run.session import ray_session

    with ray_session("local", dashboard=True) as resources:
        yield resources


@pytest.fixture
def toy_sweep() -> dict[str, Any]:
    """A sweep over the toy detector, as a study file holds it."""
    return {
        "study": "toy/sweep",
        "kind": "sweep",
        "trainable": "toy",
        "detector": "toy",
        "dataset": "toy",
        "protocol": "toy",
        "space": {"detector.x": "auto", "detector.y": "auto"},
        "budget": {"trials": 8},
    }


@pytest.fixture
def toy_ablation() -> dict[str, Any]:
    """An ablation of the toy detector, as a study file holds it."""
    return {
        "study": "toy/ablation",
        "kind": "ablation",
        "trainable": "toy",
        "detector": "toy",
        "dataset": "toy",
        "protocol": "toy",
        "paper": "kt_mgfn",
        "table": "table_5",
        "seeds": [0, 1, 2],
        "baseline": "base",
        "rows": {
            "base": {"set": {"detector.x": 0.8}, "paper_row": "baseline"},
            "good": {"set": {"detector.x": 0.3}, "paper_row": "full"},
        },
    }
