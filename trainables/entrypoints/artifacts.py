"""What a trial leaves behind of a scored split, for reports and for other people's tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.contracts import Answer
from trainables.detections import FrameScores, GroundTruth
from trainables.evaluation.files.activitynet_json import write_activitynet_json
from trainables.evaluation.files.frame_scores import write_frame_parquet
from trainables.evaluation.files.parquet import write_detections_parquet
from trainables.evaluation.frames.runs import frame_runs
from trainables.files import replacing


def write_split_artifacts(
    folder: Path,
    name: str,
    found: Answer,
    truth: GroundTruth,
    durations_s: Mapping[str, float],
    protocol: Any,
    matches: Any,
) -> None:
    """Detections (ActivityNet JSON and Parquet) or frame scores (Parquet), matches, per-class AP, and the truth.

    Beside frame scores their runs of frames are written (ActivityNet JSON), for timelines.

    Args:
        folder: for the files.
        name: of the split, with the variant's suffix: ``test`` or ``test_tuned``.
        found: the detections, or the frame scores.
        truth: the ground truth.
        durations_s: video id -> seconds.
        protocol: the evaluation protocol.
        matches: its matches of the two.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(found, FrameScores):
        write_frame_parquet(folder / f"frame_scores_{name}.parquet", found, truth.class_names)
        write_activitynet_json(folder / f"frame_runs_{name}.json", frame_runs(found, durations_s), truth.class_names)
    else:
        write_activitynet_json(folder / f"detections_{name}.json", found, truth.class_names)
        write_detections_parquet(folder / f"detections_{name}.parquet", found, truth.class_names)
    matches.save(folder / f"matches_{name}.arrow")
    _write_json(folder / f"per_class_{name}.json", protocol.per_class_ap(matches))
    _write_json(folder / f"truth_{name}.json", _truth_json(truth, durations_s))


def _truth_json(truth: GroundTruth, durations_s: Mapping[str, float]) -> dict[str, Any]:
    videos: dict[str, Any] = {v: {"duration_s": durations_s[v], "annotations": []} for v in truth.video_ids}
    for video, segment, label in zip(truth.video, truth.segments_s, truth.labels, strict=True):
        entry = {"segment": [float(segment[0]), float(segment[1])], "label": truth.class_names[int(label)]}
        videos[truth.video_ids[int(video)]]["annotations"].append(entry)
    return {"videos": videos}


def _write_json(path: Path, value: Any) -> None:
    with replacing(path) as scratch:
        scratch.write_text(json.dumps(value, sort_keys=True), encoding="utf-8")
