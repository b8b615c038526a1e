"""Frame accuracy, edit score and segmental F1 against loops over frames and segments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import levenshtein, segmentation_scores, segments
from scipy.io import loadmat

from trainables.evaluation.frames.segmentation import Segmentation
from trainables.evaluation.frames.sequences import FrameLabels, edit_score, find_runs, num_hits


def _labels(videos: dict[str, Sequence[str]]) -> FrameLabels:
    names, ids = np.unique(np.concatenate([list(v) for v in videos.values()]), return_inverse=True)
    first = np.cumsum([0, *map(len, videos.values())])
    return FrameLabels(tuple(videos), first, ids.astype(np.int64), tuple(names.tolist()))


def _scores(protocol: Segmentation, found: dict[str, Sequence[str]], truth: dict[str, Sequence[str]]) -> list[float]:
    return list(protocol.score(protocol.match(_labels(found), _labels(truth))).values())


def test_golden_by_hand() -> None:
    """Annotated a a a a b b b b - -, predicted a a b b b b a a - b; '-' is background."""
    protocol = Segmentation(background=("-",))
    assert protocol.metric_names() == ("frame_accuracy", "edit", "f1_10", "f1_25", "f1_50")
    accuracy, edit, *f1 = _scores(protocol, {"v": "aabbbbaa-b"}, {"v": "aaaabbbb--"})
    assert accuracy == 0.5
    # a b a b against a b: two insertions over four
    assert edit == 0.5
    # a: 2/4; b: 2/6; second a: 0 of its class left; last b: 0. Two annotated, four predicted segments
    assert f1 == pytest.approx([2 * 2 / 6, 2 * 2 / 6, 2 * 1 / 6])


def test_an_overlap_of_exactly_the_threshold_is_a_hit() -> None:
    for threshold, f1 in ((0.5, 2 / 3), (0.51, 0.0)):
        protocol = Segmentation((threshold,), on_unknown_label="count")
        assert _scores(protocol, {"v": "aabb"}, {"v": "aaaa"})[2] == pytest.approx(f1)


def test_a_segment_that_was_taken_is_a_miss() -> None:
    """Both predicted segments reach the annotated one; the second is a false positive."""
    assert _scores(Segmentation((0.1,), on_unknown_label="count"), {"v": "aba"}, {"v": "aaa"})[2] == pytest.approx(
        2 / 4
    )


sequences = st.lists(st.sampled_from("abc-"), min_size=1, max_size=14)


@settings(max_examples=500)
@given(found=sequences, truth=sequences)
def test_edit_score_cell_by_cell(found: list[str], truth: list[str]) -> None:
    p, y = [r[0] for r in segments(found, "-")], [r[0] for r in segments(truth, "-")]
    expected = 1 - levenshtein(p, y) / max(len(p), len(y)) if p or y else 1.0
    ids = [np.asarray(["abc".index(c) for c in labels], np.int64) for labels in (p, y)]
    assert edit_score(*ids) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=300)
@given(labels=sequences)
def test_runs_frame_by_frame(labels: list[str]) -> None:
    ids = np.asarray(["abc-".index(c) for c in labels], np.int64)
    runs = find_runs(ids, np.array([3]))
    own = [("abc-"[c], *ends) for c, ends in zip(runs.labels.tolist(), runs.ends_frames.tolist(), strict=True)]
    assert own == segments(labels, "-")
    assert num_hits(runs, runs, (0.1, 1.0)).tolist() == [len(own)] * 2


@st.composite
def cases(draw: st.DrawFn) -> list[tuple[list[str], list[str]]]:
    videos = []
    for _ in range(draw(st.integers(1, 4))):
        truth = draw(sequences)
        videos.append((draw(st.lists(st.sampled_from("abc-"), min_size=len(truth), max_size=len(truth))), truth))
    first, _ = videos[0]
    videos[0] = (first, ["a", *videos[0][1][1:]])
    return videos


@settings(max_examples=500)
@given(videos=cases(), data=st.data())
def test_equal_to_the_loop_and_weights_repeat_videos(
    videos: list[tuple[list[str], list[str]]], data: st.DataObject
) -> None:
    protocol = Segmentation(background=("-",), on_unknown_label="count")
    names = [f"v{i}" for i in range(len(videos))]
    found, truth = ({n: v[side] for n, v in zip(names, videos, strict=True)} for side in (0, 1))
    matches = protocol.match(_labels(found), _labels(truth))
    overlaps = protocol.tiou_thresholds
    expected = segmentation_scores(videos, "-", overlaps)
    assert list(protocol.score(matches).values()) == pytest.approx(expected, abs=1e-9)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(videos), max_size=len(videos)))
    repeated = [v for v, w in zip(videos, weights, strict=True) for _ in range(w)]
    if not any(set(truth) - {"-"} for _, truth in repeated):
        with pytest.raises(ValueError, match="nothing to score"):
            protocol.score(matches, weights)
        return
    again = segmentation_scores(repeated, "-", overlaps)
    assert list(protocol.score(matches, weights).values()) == pytest.approx(again, abs=1e-9)


def test_background_need_not_be_annotated() -> None:
    protocol = Segmentation()
    scores = _scores(protocol, {"v": ["a", "a", "background", "a"]}, {"v": ["a"] * 4})
    assert scores == pytest.approx([0.75, 0.5, *[2 / 3] * 3])


def test_labels_that_the_annotations_lack() -> None:
    found, truth = _labels({"v": "abzz"}), _labels({"v": "aabb"})
    with pytest.raises(ValueError, match="label 'z' is none of the annotated ones: a, b .*on_unknown_label"):
        Segmentation().match(found, truth)
    protocol = Segmentation(on_unknown_label="count")
    matches = protocol.match(found, truth)
    assert matches.warnings == {"frames_with_unknown_label": 2}
    assert protocol.score(matches)["frame_accuracy"] == 0.25


def test_class_ids_of_the_two_sides_need_not_agree() -> None:
    truth = {"v": "ccab", "w": "abcc"}
    assert _scores(Segmentation(), {"w": "abcc", "v": "ccab"}, truth) == [1.0] * 5
    fewer = {"v": "bbbb", "w": "bbbb"}
    assert _scores(Segmentation(), fewer, truth)[0] == 0.25


BAD: list[tuple[dict[str, str], dict[str, str], str]] = [
    ({"v": "ab"}, {"v": "aba"}, "video 'v' has 2 labels for 3 annotated frames .1 such videos"),
    ({"v": "ab"}, {"v": "ab", "w": "ab"}, "video 'w' has none .1 such videos of 2"),
    ({"v": "ab", "x": "ab"}, {"v": "ab"}, "video 'x' is not in the ground truth"),
    ({"v": "--"}, {"v": "--"}, "no segment that is not background"),
]


@pytest.mark.parametrize(("found", "truth", "complaint"), BAD, ids=[b[2] for b in BAD])
def test_what_cannot_be_scored_is_refused(found: dict[str, str], truth: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Segmentation(background=("-",)).match(_labels(found), _labels(truth))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"video_ids": ("v", "v")}, "predictions: video 'v' is listed more than once"),
        ({"first_frame": np.array([0, 1, 3])}, "does not lead from 0 to 4"),
        ({"first_frame": np.array([0, 4, 4])}, "video 'w' has no frame"),
        ({"labels": np.array([0, 1, 2, 0])}, "row 2 has a label outside the 2 classes"),
    ],
)
def test_broken_arrays_are_refused(change: dict[str, Any], complaint: str) -> None:
    good = _labels({"v": "ab", "w": "ab"})
    with pytest.raises(ValueError, match=complaint):
        Segmentation().match(FrameLabels(**{**good.__dict__, **change}), good)


def test_settings_are_checked() -> None:
    for bad in ({"tiou_thresholds": ()}, {"tiou_thresholds": (0.5, 0.5)}, {"on_unknown_label": "drop"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Segmentation(**bad)  # type: ignore[arg-type]
    made = Segmentation((0.5,)).match(_labels({"v": "ab"}), _labels({"v": "ab"}))
    with pytest.raises(ValueError, match="match the frame labels again"):
        Segmentation().score(made)


def test_all_five_splits_of_50_salads(test_data: Path) -> None:
    """The held-out decisions of a support vector machine on all 50 videos; label 0 is background."""
    found, truth = {}, {}
    for split in range(1, 6):
        content = loadmat(test_data / "50salads" / "mid" / "mid_video_SVM" / f"Split_{split}.mat")
        for i, (p, y) in enumerate(zip(content["P"].ravel(), content["Y"].ravel(), strict=True)):
            found[f"{split}-{i}"] = [str(int(c)) for c in np.ravel(p)]
            truth[f"{split}-{i}"] = [str(int(c)) for c in np.ravel(y)]
    assert len(truth) == 50
    protocol = Segmentation(background=("0",))
    perfect = protocol.match(_labels(truth), _labels(truth))
    assert set(protocol.score(perfect).values()) == {1.0}
    assert protocol.counts(perfect) == {"videos": 50, "frames": 16596, "instances": 896, "predictions": 896}
    matches = protocol.match(_labels(found), _labels(truth))
    expected = segmentation_scores([(found[v], truth[v]) for v in truth], ("0",), protocol.tiou_thresholds)
    scores = protocol.score(matches)
    assert list(scores.values()) == pytest.approx(expected, abs=1e-9)
    by_video = np.mean(matches.num_correct / matches.num_frames)
    assert by_video == pytest.approx(0.549, abs=5e-4)  # as measured on the same files, mean over videos
    assert scores["f1_10"] > scores["f1_25"] > scores["f1_50"] > 0.1
    draws = protocol.bootstrap(matches, num_resamples=200, seed=0)
    assert np.abs(draws.mean(axis=0) - list(scores.values())).max() < 0.02
