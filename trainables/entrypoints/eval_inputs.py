"""What ``tadtune eval`` reads: ground truth, and predictions of the kind the protocol takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from trainables.data.readers.video_ids import read_video_ids
from trainables.detections import GroundTruth
from trainables.evaluation.files.detections import read_detections
from trainables.evaluation.files.frame_labels import read_frame_labels
from trainables.evaluation.files.frame_scores import read_frame_scores
from trainables.evaluation.files.proposals import read_proposals
from trainables.evaluation.files.video_scores import read_video_scores
from trainables.evaluation.frames.scores import truth_for


def read_inputs(
    rules: Any, predictions: Path, truth: Path, *, truth_format: str, subset: str | None
) -> tuple[Any, Any, Mapping[str, float]]:
    """Predictions and ground truth as the protocol's ``match`` takes them, and the durations that are known, seconds.

    Args:
        rules: the protocol.
        predictions: file or folder.
        truth: annotations or a store; for frame labels a folder like that of the predictions.
        truth_format: of the annotations, or "auto".
        subset: of the annotations, split of a store; for frame labels a file that lists the videos.

    Raises:
        ValueError: files that cannot be read or hold nothing; file and row are named.
    """
    takes = getattr(rules, "takes", "detections")
    if takes == "frame_labels":
        only = None if subset is None else {Path(name).stem for name in read_video_ids(Path(subset))}
        return read_frame_labels(predictions, only=only), read_frame_labels(truth, only=only), {}
    segments, durations_s = read_truth(truth, truth_format, subset)
    known = {video_id: seconds for video_id, seconds in durations_s.items() if seconds is not None}
    held = truth_for(rules, segments, durations_s, what=str(truth))
    if takes == "frame_scores":
        return _not_empty(predictions, read_frame_scores(predictions, segments.class_names), takes), held, known
    unknown = getattr(rules, "on_unknown_label", "error")
    on_unknown_label: Literal["error", "mark"] = "error" if unknown == "error" else "mark"
    found: Any
    if takes == "proposals":
        found = read_proposals(predictions)
    elif takes == "video_scores":
        found = read_video_scores(predictions, segments.class_names, on_unknown_label=on_unknown_label)
    else:
        found = read_detections(
            predictions,
            segments.class_names,
            on_unknown_label=on_unknown_label,
            on_reversed_segment="error" if rules.on_reversed_segment == "error" else "keep",
        )
    return _not_empty(predictions, found, takes), held, known


def read_truth(path: Path, truth_format: str, subset: str | None) -> tuple[GroundTruth, Mapping[str, float | None]]:
    """Ground truth of one subset, from annotations or from a store, and the videos' durations where they are known.

    Raises:
        ValueError: no such subset, several to choose from, or annotations of no known format.
    """
    if (path / "manifest.json").is_file():
        from trainables.data.features.dataset import FeatureDataset

        if subset is None:
            raise ValueError(f"{path} is a store; name its split with --subset train, select or test")
        store = FeatureDataset(path)
        return store.ground_truth(subset), store.durations_s()
    from trainables.data.readers import read_annotations

    annotations = read_annotations(path, format=truth_format)
    if subset is not None:
        annotations = annotations.of_subset(subset)
    elif len(annotations.subsets) > 1:
        raise ValueError(f"{path} has several subsets; choose one with --subset: {', '.join(annotations.subsets)}")
    return annotations.ground_truth(), {video.video_id: video.duration_s for video in annotations.videos}


def _not_empty(path: Path, found: Any, kind: str) -> Any:
    if not len(found.scores):
        raise ValueError(f"{path}: holds no {kind.replace('_', ' ').removesuffix('s')}; there is nothing to score")
    return found
