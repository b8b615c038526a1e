"""A finished trial's metrics under resampled test videos, from the matches it left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tadtune.track.record import Result, TrialRecord
from tadtune.track.statistics import FloatArray, video_weights

#: Largest difference between a recorded score and the one its matches give.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Sample:
    """One trial's resampled metrics.

    Attributes:
        metrics: full metric name -> (R,); {} where nothing could be resampled.
        videos: what the trial was scored on: digest of the data, number of videos.
        problem: why metrics are missing, or "".
    """

    metrics: Mapping[str, FloatArray]
    videos: tuple[str, int]
    problem: str = ""


def resample_trial(record: TrialRecord, result: Result, protocol: Any) -> Sample:
    """Metrics of ``test`` and ``test_tuned`` under the shared weights of the videos.

    Args:
        record: of a complete trial.
        result: its result; the matches must give its scores.
        protocol: the evaluation protocol.
    """
    metrics: dict[str, FloatArray] = {}
    num_videos, problem = 0, ""
    names = protocol.metric_names()
    for split in ("test", "test_tuned"):
        if not any(name.startswith(f"{split}/") for name in result.metrics):
            continue
        path = record.artifacts / f"matches_{split}.arrow"
        if not path.is_file():
            problem = f"no {path.name}"
            continue
        try:
            stat = path.stat()
            num_videos, plain, resampled = _resample(protocol, path, stat.st_mtime_ns, stat.st_size)
        except (ValueError, OSError) as error:
            problem = f"{path.name} cannot be used: {error}"
            continue
        recorded = np.asarray([result.metrics.get(f"{split}/{name}", np.nan) for name in names])
        if not np.allclose(plain, recorded, rtol=0, atol=TOLERANCE):
            problem = f"{path.name} does not give the recorded scores"
        elif not np.isfinite(resampled).all():
            problem = f"{path.name} has no finite score under some resamplings"
        else:
            metrics |= {f"{split}/{name}": resampled[:, i] for i, name in enumerate(names)}
    return Sample(metrics, (str(record.provenance().get("data", "")), num_videos), problem)


@lru_cache(maxsize=1024)
def _resample(protocol: Any, path: Path, mtime_ns: int, size: int) -> tuple[int, FloatArray, FloatArray]:
    """Number of videos, (M,) plain metrics, (R, M) resampled ones; kept, for a launch reports more than once."""
    matches = protocol.load_matches(path)
    num_videos = int(protocol.num_videos(matches))
    weights = np.concatenate([np.ones((1, num_videos)), video_weights(num_videos)])
    values = np.asarray(protocol.resample(matches, weights), dtype=np.float64)
    return num_videos, values[0], values[1:]
