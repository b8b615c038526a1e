"""Each planted difficulty: absent by default, and measured by a simple oracle where it is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.schema import Video
from trainables.data.synthetic.config import Config
from trainables.data.synthetic.generate import make_videos

BASE = Config(num_videos=80, num_classes=4, context_confuser=0.0)


def _snippets(video: Video) -> list[tuple[int, int]]:
    return [(round(s.start_s / video.snippet_seconds), round(s.end_s / video.snippet_seconds)) for s in video.segments]


def _inside(video: Video) -> np.ndarray:
    mask = np.zeros(len(video.features), bool)
    for start, end in _snippets(video):
        mask[start:end] = True
    return mask


def _around(video: Video) -> np.ndarray:
    """Snippets beside an action, nearer than its length."""
    mask = np.zeros(len(video.features), bool)
    for start, end in _snippets(video):
        mask[max(2 * start - end, 0) : 2 * end - start] = True
    return mask & ~_inside(video)


def _probe(train: Sequence[tuple[np.ndarray, int]], test: Sequence[tuple[np.ndarray, int]]) -> float:
    """Accuracy of a linear classifier (least squares on one-hot labels) from (n, C) rows to the label."""
    classes = 1 + max(label for _, label in train)
    rows = np.concatenate([np.c_[x, np.ones(len(x))] for x, _ in train])
    targets = np.eye(classes)[np.concatenate([np.full(len(x), label) for x, label in train])]
    weights = np.linalg.lstsq(rows.T @ rows + np.eye(rows.shape[1]), rows.T @ targets, rcond=None)[0]
    hits = [(np.c_[x, np.ones(len(x))] @ weights).argmax(axis=1) == label for x, label in test]
    return float(np.concatenate(hits).mean())


def _halves(config: Config, choose: Any) -> tuple[list[tuple[np.ndarray, int]], list[tuple[np.ndarray, int]]]:
    """(rows, true class) of every video of train and of test."""
    clean = make_videos(dataclasses.replace(config, label_noise=0.0))
    found: dict[str, list[tuple[np.ndarray, int]]] = {"train": [], "select": [], "test": []}
    for video, true in zip(make_videos(config), clean, strict=True):
        found[video.split].append((video.features[choose(video)], true.segments[0].label))
    return found["train"], found["test"]


@pytest.mark.parametrize(
    ("config", "name", "digest"),
    [
        (Config(), "synthetic-7591697a4054", "b66505e810d2c9763b6137c0f270b1db9df08c9cbb13a3ad986b100f51255ff2"),
        (
            Config(seed=3, num_classes=4, context_confuser=2.0),
            "synthetic-4991f0f879bf",
            "0b4ac35ceb89133a7f5bd5deda1b58ff16cd6bca4d55eb1eeec68287ad530b9c",
        ),
    ],
)
def test_data_without_difficulties_are_what_they_were_before_there_were_any(
    tmp_path: Path, config: Config, name: str, digest: str
) -> None:
    assert config.folder(tmp_path).name == name
    config.prepare(tmp_path)
    assert config.digest(tmp_path) == digest


@pytest.mark.parametrize(
    "change",
    [
        {"confusable": 0.5},
        {"telling_context": 1.0},
        {"boundary_blur": 1.0},
        {"short_actions": 0.5},
        {"imbalance": 0.3},
        {"label_noise": 0.2},
    ],
)
def test_a_difficulty_is_another_data_set(tmp_path: Path, change: dict[str, float]) -> None:
    config = dataclasses.replace(BASE, **change)  # type: ignore[arg-type]
    assert config.folder(tmp_path) != BASE.folder(tmp_path)
    assert config.builder().items() >= change.items()
    plain, other = list(make_videos(BASE)), list(make_videos(config))
    assert any(
        a.features.tobytes() != b.features.tobytes() or a.segments != b.segments
        for a, b in zip(plain, other, strict=True)
    )
    again = list(make_videos(config))
    assert all(
        a.features.tobytes() == b.features.tobytes() and a.segments == b.segments
        for a, b in zip(other, again, strict=True)
    )


def test_the_core_tells_the_class_and_the_flank_hardly() -> None:
    config = dataclasses.replace(BASE, core_strength=8.0, flank_strength=1.0)
    silent = dataclasses.replace(config, noise=0.0)
    strength = {v.video_id: np.linalg.norm(v.features, axis=1) for v in make_videos(silent)}
    core = _probe(*_halves(config, lambda v: strength[v.video_id] > 4.0))
    flank = _probe(*_halves(config, lambda v: (strength[v.video_id] > 0.5) & (strength[v.video_id] < 4.0)))
    assert core > 0.99
    assert 0.3 < flank < 0.7


def test_confusable_classes_look_alike_until_their_context_is_read() -> None:
    def in_pairs(config: Config, choose: Any) -> float:
        """Accuracy among the two classes of each pair."""
        scores = []
        for pair in ((0, 1), (2, 3)):
            train, test = ([(x, y - pair[0]) for x, y in half if y in pair] for half in _halves(config, choose))
            scores.append(_probe(train, test))
        return float(np.mean(scores))

    assert in_pairs(BASE, _inside) > 0.97
    half = in_pairs(dataclasses.replace(BASE, confusable=0.8), _inside)
    same = dataclasses.replace(BASE, confusable=1.0)
    alike = in_pairs(same, _inside)
    assert 0.4 < alike < 0.6
    assert alike + 0.1 < half < 0.97
    assert 0.4 < in_pairs(same, _around) < 0.6, "without a telling context, nothing tells them apart"
    telling = dataclasses.replace(same, telling_context=6.0)
    assert 0.4 < in_pairs(telling, _inside) < 0.6, "the context is around the actions, not in them"
    assert in_pairs(telling, _around) > 0.95
    pairs = _probe(*([(x, y // 2) for x, y in half] for half in _halves(same, _inside)))
    assert pairs > 0.97, "the pairs are as different as ever"


@pytest.mark.parametrize("blur", [1.0, 2.0])
def test_blur_is_the_width_of_a_boundary(blur: float) -> None:
    """A blurred step is the error function: its slope has the variance of the Gaussian."""
    config = dataclasses.replace(
        BASE, noise=0.0, boundary_blur=blur, core_strength=1.0, flank_strength=1.0,
        num_snippets=(100, 100), actions_per_video=(1, 1), action_snippets=(24, 30),
    )  # fmt: skip
    widths = []
    for video in make_videos(config):
        ((start, end),) = _snippets(video)
        if start < 12 or end > len(video.features) - 12:
            continue
        strength = np.linalg.norm(video.features, axis=1)
        assert strength[(start + end) // 2] == pytest.approx(1.0, abs=1e-3)
        assert strength[start - 1] + strength[start] == pytest.approx(1.0, abs=1e-3), "half way at the boundary"
        slope = np.diff(strength[start - 12 : start + 12])
        at = np.arange(len(slope)) - (len(slope) - 1) / 2
        widths.append(np.sqrt((slope * at**2).sum() / slope.sum()))
    assert len(widths) > 10
    assert np.mean(widths) == pytest.approx(blur, rel=0.05)


def test_crowded_videos_are_full_of_short_actions() -> None:
    config = dataclasses.replace(BASE, num_videos=200, short_actions=0.5)
    lengths = [[end - start for start, end in _snippets(v)] for v in make_videos(config)]
    crowded = [own for own in lengths if len(own) > BASE.actions_per_video[1]]
    others = [own for own in lengths if len(own) <= BASE.actions_per_video[1]]
    assert len(crowded) == pytest.approx(100, abs=20)
    assert {n for own in crowded for n in own} == {1, 2}
    assert min(map(len, crowded)) >= 12, "one every 4 snippets in the shortest video"
    assert min(n for own in others for n in own) >= BASE.action_snippets[0]
    everywhere = make_videos(dataclasses.replace(BASE, short_actions=1.0))
    for video in everywhere:
        places = _snippets(video)
        assert all(1 <= b[0] - a[1] <= 4 for a, b in pairwise(places))
        assert len(video.features) - places[-1][1] <= 4


def test_class_counts_fall_as_the_power_says() -> None:
    config = dataclasses.replace(BASE, num_videos=300, imbalance=1.0)
    videos = list(make_videos(config))
    counts = np.bincount([v.segments[0].label for v in videos])
    assert counts.tolist() == config.class_counts() == [144, 72, 48, 36]  # 1, 1/2, 1/3, 1/4 of 25/12
    for split, size in config.split_sizes().items():
        own = np.bincount([v.segments[0].label for v in videos if v.split == split], minlength=4)
        assert np.abs(own - counts * size / 300).max() <= 1
    assert Config(num_videos=62).class_counts() == [13, 13, 12, 12, 12]
    with pytest.raises(ValueError, match=r"imbalance: 3\.0 leaves 1 videos to the rarest class.*raise num_videos"):
        dataclasses.replace(BASE, imbalance=3.0)


def test_label_noise_is_in_the_training_annotation_alone() -> None:
    config = dataclasses.replace(BASE, num_videos=200, label_noise=0.25)
    pairs = list(zip(make_videos(dataclasses.replace(config, label_noise=0.0)), make_videos(config), strict=True))
    wrong = {split: [a.segments[0].label != b.segments[0].label for a, b in pairs if a.split == split]
             for split in ("train", "select", "test")}  # fmt: skip
    assert sum(wrong["train"]) == round(0.25 * len(wrong["train"]))
    assert not any(wrong["select"] + wrong["test"])
    for clean, noisy in pairs:
        assert np.array_equal(clean.features, noisy.features), "what is seen stays true"
        assert [(s.start_s, s.end_s) for s in clean.segments] == [(s.start_s, s.end_s) for s in noisy.segments]
        assert len({s.label for s in noisy.segments}) == 1
    # a classifier of the features disagrees with the annotation as often as the annotation is wrong
    truth, _ = _halves(config, _inside)
    annotated = [(x, v.segments[0].label) for (x, _), v in
                 zip(truth, [b for _, b in pairs if b.split == "train"], strict=True)]  # fmt: skip
    means = [[(x.mean(axis=0, keepdims=True), y) for x, y in half] for half in (truth, annotated)]
    assert _probe(means[0], means[0]) == 1.0
    assert _probe(means[0], means[1]) == pytest.approx(0.75, abs=0.01)
