"""A plug-in as a lab would write one, with a trainable whose outcome is a formula: for tests of the engine.

Found through the entry points in ``tadtune_toy-1.0.dist-info`` beside this file; nothing of tadtune is imported.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class ToyDetector:
    """``score = 0.9 - (x - 0.3)^2 - 0.1 (y - 2)^2``, reached linearly over the epochs."""

    key: ClassVar[str] = "toy"
    paper: ClassVar[str] = "kt_mgfn"
    supervision: ClassVar[str] = "video_labels"
    inputs: ClassVar[str] = "feats"
    views: ClassVar[tuple[str, ...]] = ("feats",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"far": {"x": 0.6, "epochs": 5}, "near": {"x": 0.35}}

    x: float = field(default=0.8, metadata={"doc": "position", "search": (0.0, 1.0), "bounds": (0.0, 1.0)})
    y: int = field(default=1, metadata={"doc": "steps", "search": (0, 4)})
    mode: str = field(default="plain", metadata={"doc": "variant", "choices": ("plain", "noisy")})
    sizes: tuple[int, ...] = field(default=(1,), metadata={"doc": "sizes", "choices": ((1,), (1, 2))})
    epochs: int = 3
    sleep_s: float = 0.0
    fail: str = field(default="", metadata={"doc": "'raise', 'nan', 'gpu_memory', 'die', 'hang' or '' for none"})
    cut: float = field(default=0.5, metadata={"doc": "inference threshold", "search": (0.0, 1.0), "acts": "inference"})


@dataclass(frozen=True)
class ToyFullDetector(ToyDetector):
    """The same with full supervision and regions."""

    key: ClassVar[str] = "toy_full"
    supervision: ClassVar[str] = "segments"
    views: ClassVar[tuple[str, ...]] = ("feats", "rois")


@dataclass(frozen=True)
class ToyFrameDetector(ToyDetector):
    """The same, made for frames."""

    key: ClassVar[str] = "toy_frames"
    inputs: ClassVar[str] = "frames"


@dataclass(frozen=True)
class ToyTask:
    """A task that reads boundaries."""

    key: ClassVar[str] = "toy_mac"
    paper: ClassVar[str] = "three_birds"
    supervision: ClassVar[str] = "segments"
    requires: ClassVar[tuple[str, ...]] = ("rois",)

    weight: float = field(default=1.0, metadata={"doc": "weight", "search": (0.1, 10.0), "log": True})
    tilt: float = field(default=0.5, metadata={"doc": "of scores", "search": (0.0, 1.0), "acts": "inference"})


@dataclass(frozen=True)
class ToyRefine(ToyTask):
    """A task that builds upon the other."""

    key: ClassVar[str] = "toy_refine"
    beside: ClassVar[tuple[str, ...]] = ("toy_mac",)


@dataclass(frozen=True)
class ToyData:
    """No data at all; ``missing`` makes preparing fail."""

    key: ClassVar[str] = "toy"
    supervision: ClassVar[str] = "segments"
    inputs: ClassVar[str] = "feats"

    missing: bool = False
    version: int = 1

    def prepare(self, data_root: Path) -> None:
        if self.missing:
            raise FileNotFoundError(f"{data_root / 'toy'} is missing; make it with `tadtune data build toy`")

    def digest(self, data_root: Path) -> str:
        return f"toy-{self.version}-{os.environ.get('TOY_DATA_DIGEST', 'a')}"


@dataclass(frozen=True)
class ToyVideoData(ToyData):
    """Frames instead of features."""

    key: ClassVar[str] = "toy_videos"
    inputs: ClassVar[str] = "frames"


@dataclass(frozen=True)
class ToyWeakData(ToyData):
    """Video labels only."""

    key: ClassVar[str] = "toy_weak"
    supervision: ClassVar[str] = "video_labels"


@dataclass(frozen=True)
class ToyProtocol:
    """Names the metrics."""

    key: ClassVar[str] = "toy"
    version: ClassVar[str] = "1"

    scale: float = 1.0

    def metric_names(self) -> tuple[str, ...]:
        return ("map_tiou_0.50", "avg_map")


class ToyTrial:
    """The trainable; leaves a line in ``$TOY_LOG`` for every epoch it trains and every time it scores ``test``.

    While the file ``$TOY_HOLD`` is there, no epoch begins.
    """

    def __init__(self, *, detector: Any, tasks: Mapping[str, Any], protocol: Any, seed: int, **place: Any) -> None:
        self._config, self._protocol, self._seed = detector, protocol, seed
        self._epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def num_epochs(self) -> int:
        return self._config.epochs

    def _log(self, event: str) -> None:
        path = os.environ.get("TOY_LOG")
        if path:
            line = json.dumps(
                {
                    "event": event,
                    "x": self._config.x,
                    "y": self._config.y,
                    "seed": self._seed,
                    "epoch": self._epoch,
                    "pid": os.getpid(),
                }
            )
            with Path(path).open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def train_epoch(self) -> Mapping[str, float]:
        while "TOY_HOLD" in os.environ and Path(os.environ["TOY_HOLD"]).exists():
            time.sleep(0.05)
        if self._config.sleep_s:
            time.sleep(self._config.sleep_s)
        if self._config.fail == "raise":
            raise RuntimeError("planted failure")
        if self._config.fail == "nan":
            raise FloatingPointError("class = nan in phase 'only', epoch 1, step 1")
        if self._config.fail == "gpu_memory":
            # torch's own class takes seconds to import
            raise type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})("CUDA out of memory.")
        if self._config.fail == "die" and self._epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._config.fail == "hang" and self._epoch == 1:
            time.sleep(600)
        self._epoch += 1
        self._log("epoch")
        return {"loss": 1.0 / self._epoch}

    def _score(self, detector: Any, tasks: Mapping[str, Any]) -> float:
        tilted = sum(0.1 * (task.tilt - 0.5) for task in tasks.values())
        peak = 0.9 - (detector.x - 0.3) ** 2 - 0.1 * (detector.y - 2) ** 2 - 0.2 * (detector.cut - 0.7) ** 2
        return peak * self._epoch / max(1, self._config.epochs) + 0.001 * self._seed + tilted

    def score_select(self, detector: Any, protocol: Any, tasks: Mapping[str, Any]) -> Mapping[str, float]:
        value = self._score(detector, tasks)
        return {"map_tiou_0.50": value, "avg_map": value}

    def finish(
        self, folder: Path, variants: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, float]:
        self._log("test")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "detections_test.json").write_text("{}", encoding="utf-8")
        metrics = {}
        for suffix, detector in variants.items():
            value = self._score(detector, tasks[suffix]) - 0.01
            metrics |= {f"test{suffix}/map_tiou_0.50": value, f"test{suffix}/avg_map": value}
        return metrics

    def save(self, path: Path) -> None:
        scratch = path.with_name(".checkpoint.partial")
        scratch.write_text(str(self._epoch), encoding="utf-8")
        scratch.replace(path)

    def load(self, path: Path) -> None:
        self._epoch = int(path.read_text(encoding="utf-8"))
