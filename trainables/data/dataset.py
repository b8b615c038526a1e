"""A store as a data set: splits, ground truth, batches. Hands out no label that the supervision does not allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.config import Sampling
from trainables.data import sampling as ways
from trainables.data.sampling import Sampled
from trainables.data.store import SPLITS, FeatureStore
from trainables.detections import GroundTruth
from trainables.records import Batch, SegmentTargets, Supervision


class FeatureDataset:
    """Videos with pre-extracted features.

    Args:
        folder: of the store.
        permute_labels_seed: shuffle the labels of the training videos among them (a control whose score must be at
            chance); None = leave them.
    """

    def __init__(self, folder: Path, *, permute_labels_seed: int | None = None) -> None:
        self._store = FeatureStore(folder)
        videos = self._store.videos
        self._of_split = {s: [i for i, v in enumerate(videos) if v["split"] == s] for s in SPLITS}
        position = {v["video_id"]: i for i, v in enumerate(videos)}
        self._segments: list[list[tuple[float, float, int]]] = [[] for _ in videos]
        self._ambiguous: list[list[tuple[float, float]]] = [[] for _ in videos]
        for row in self._store.segments:
            index = position[row["video_id"]]
            if row["ambiguous"]:
                self._ambiguous[index].append((row["start_s"], row["end_s"]))
            else:
                self._segments[index].append((row["start_s"], row["end_s"], row["label"]))
        self._labels = self._segments
        if permute_labels_seed is not None:
            self._labels = _permuted(self._segments, self._of_split["train"], permute_labels_seed)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self._store.class_names

    @property
    def feat_dim(self) -> int:
        """C."""
        return self._store.feat_dim

    def video_ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, in the order of the store."""
        return tuple(self._store.videos[i]["video_id"] for i in self._rows(split))

    def durations_s(self) -> Mapping[str, float]:
        """Video id -> seconds."""
        return {v["video_id"]: v["duration_s"] for v in self._store.videos}

    def _rows(self, split: str) -> list[int]:
        if split not in self._of_split:
            raise ValueError(f"split '{split}' is none of {', '.join(SPLITS)}")
        return self._of_split[split]

    def ground_truth(self, split: str) -> GroundTruth:
        """Segments of a split, for scoring."""
        rows = self._rows(split)
        flat = [(n, *segment) for n, i in enumerate(rows) for segment in self._segments[i]]
        extra = [(n, *segment) for n, i in enumerate(rows) for segment in self._ambiguous[i]]
        return GroundTruth(
            video_ids=self.video_ids(split),
            class_names=self.class_names,
            video=np.asarray([f[0] for f in flat], np.int64),
            segments_s=np.asarray([f[1:3] for f in flat], np.float64).reshape(-1, 2),
            labels=np.asarray([f[3] for f in flat], np.int64),
            ambiguous_video=np.asarray([e[0] for e in extra], np.int64),
            ambiguous_s=np.asarray([e[1:3] for e in extra], np.float64).reshape(-1, 2),
        )

    def batches(
        self,
        split: str,
        *,
        sampling: Sampling,
        batch_size: int,
        supervision: Supervision,
        seed: int,
        epoch: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Inputs of one pass; see :class:`trainables.contracts.Dataset`."""
        rows = self._rows(split)
        order = np.arange(len(rows))
        if epoch is not None:
            order = np.random.default_rng([seed, epoch, 1 << 20]).permutation(len(rows))
        inputs: list[tuple[int, Sampled]] = []
        for number in order[rank::world_size]:
            inputs += [(rows[number], sampled) for sampled in self._sample(rows[number], number, sampling, seed, epoch)]
        for first in range(0, len(inputs), batch_size):
            yield self._batch(inputs[first : first + batch_size], sampling, supervision)

    def _sample(self, row: int, number: int, sampling: Sampling, seed: int, epoch: int | None) -> list[Sampled]:
        length = self._store.videos[row]["num_snippets"]
        kind = sampling.test if epoch is None else sampling.train
        if kind == "native":
            return [ways.native(length)]
        if kind == "window":
            stride = (sampling.window_stride or (sampling.length, sampling.length))[0 if epoch is not None else 1]
            return ways.windows(length, sampling.length, stride)
        if kind == "sparse":
            # drawn from (seed, epoch, video) only: the same whatever the number of workers
            return [ways.sparse(length, sampling.length, np.random.default_rng([seed, epoch or 0, int(number)]))]
        return [(ways.uniform if kind == "uniform" else ways.rescale)(length, sampling.length)]

    def _batch(self, inputs: Sequence[tuple[int, Sampled]], sampling: Sampling, supervision: Supervision) -> Batch:
        videos = [self._store.videos[row] for row, _ in inputs]
        width = max(len(sampled.positions) for _, sampled in inputs)
        feats = np.zeros((len(inputs), width, self.feat_dim), np.float32)
        valid = np.zeros((len(inputs), width), bool)
        for i, (row, sampled) in enumerate(inputs):
            n = len(sampled.positions)
            feats[i, :n] = ways.take(self._store.features(row), sampled)
            valid[i, :n] = True
        seconds = np.asarray([v["snippet_seconds"] for v in videos])
        step = seconds * np.asarray([s.snippets_per_sample for _, s in inputs])
        start = seconds * np.asarray([s.start_snippets for _, s in inputs])
        lengths = valid.sum(axis=1)
        full = supervision == "segments"
        return Batch(
            video_ids=tuple(v["video_id"] for v in videos),
            valid_mask=torch.from_numpy(valid),
            seconds_per_sample=torch.from_numpy(step),
            start_s=torch.from_numpy(start),
            video_labels=None if supervision == "none" else self._video_labels([row for row, _ in inputs]),
            feats=torch.from_numpy(feats).transpose(1, 2).contiguous(),
            segments=self._targets(inputs, step, start, lengths) if full else None,
            frame_labels=self._frame_labels(inputs, step, start, valid) if full else None,
        )

    def _video_labels(self, rows: Sequence[int]) -> Tensor:
        labels = torch.zeros(len(rows), len(self.class_names))
        for i, row in enumerate(rows):
            labels[i, [label for _, _, label in self._labels[row]]] = 1.0
        return labels

    def _targets(
        self, inputs: Sequence[tuple[int, Sampled]], step: np.ndarray, start: np.ndarray, lengths: np.ndarray
    ) -> tuple[SegmentTargets, ...]:
        targets = []
        for i, (row, _) in enumerate(inputs):
            times = np.asarray(self._labels[row], np.float64).reshape(-1, 3)
            grid = np.clip((times[:, :2] - start[i]) / step[i], 0, lengths[i])
            inside = grid[:, 1] > grid[:, 0]
            targets.append(
                SegmentTargets(torch.from_numpy(grid[inside]).float(), torch.from_numpy(times[inside, 2]).long())
            )
        return tuple(targets)

    def _frame_labels(
        self, inputs: Sequence[tuple[int, Sampled]], step: np.ndarray, start: np.ndarray, valid: np.ndarray
    ) -> Tensor:
        labels = torch.zeros(len(inputs), valid.shape[1], len(self.class_names))
        centres = np.arange(valid.shape[1]) + 0.5
        for i, (row, _) in enumerate(inputs):
            times = start[i] + centres * step[i]
            for begin, end, label in self._labels[row]:
                labels[i, torch.from_numpy((times >= begin) & (times < end) & valid[i]), label] = 1.0
        return labels


def _permuted(
    segments: Sequence[list[tuple[float, float, int]]], rows: Sequence[int], seed: int
) -> list[list[tuple[float, float, int]]]:
    """Labels of whole videos exchanged among the rows; nobody keeps a video's own where that can be avoided."""
    order = np.random.default_rng([seed, 7]).permutation(len(rows))
    result = list(segments)
    for place, source in zip(order, np.roll(order, 1), strict=True):
        result[rows[place]] = segments[rows[source]]
    return result
