"""The published forms of one data set say the same, segment by segment, up to what is known to differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from trainables.data.annotations import AnnotationSet
from trainables.data.readers import read_annotations

# (label, start, end) -> number
Content = dict[str, Counter[tuple[str, float, float]]]

_RENAMED = {"Playing volleyball": "Volleyball"}

UNUSABLE = {"video_test_0000270", "video_test_0001292", "video_test_0001496"}


def _content(annotations: AnnotationSet, *, ambiguous: bool = True, only: Collection[str] = ()) -> Content:
    names = annotations.class_names
    result: Content = {}
    for video in annotations.videos:
        own = result[video.video_id] = Counter()
        for segment in video.segments:
            label = "Ambiguous" if segment.ambiguous else names[segment.label]
            if (ambiguous or not segment.ambiguous) and (not only or label in only):
                own[label, segment.start_s, segment.end_s] += 1
    return result


def _furthest(a: Content, b: Content) -> float:
    """Largest difference of times between the sorted segments of the videos of both, whose classes must agree."""
    worst = 0.0
    for video_id in a.keys() & b.keys():
        first, second = (sorted(own[video_id].elements(), key=_rounded) for own in (a, b))
        assert [label for label, _, _ in first] == [label for label, _, _ in second], video_id
        times = [np.asarray([times for _, *times in own]).reshape(-1, 2) for own in (first, second)]
        worst = max(worst, float(np.abs(times[0] - times[1]).max(initial=0.0)))
    return worst


def _rounded(item: tuple[str, float, float]) -> tuple[str, float, float]:
    """Sorts segments alike whose starts differ by rounding only."""
    label, start, end = item
    return label, round(start, 3), end


@pytest.fixture(scope="module")
def official(test_data: Path) -> AnnotationSet:
    return read_annotations(test_data / "thumos14/official_annotations")


@pytest.mark.parametrize(
    ("name", "subset", "has_ambiguous", "missing"),
    [
        ("thumos14.json", None, False, {"video_test_0001292"}),
        ("thumos_gt.json", None, False, UNUSABLE),
        ("thumos14_test_extra_characteristics.json", "test", False, {"video_test_0001292"}),
        ("afsd/val_Annotation.csv", "validation", True, set()),
        ("afsd/test_Annotation.csv", "test", True, set()),
        ("afsd/val_Annotation_ours.csv", "validation", False, set()),
        ("afsd/test_Annotation_ours.csv", "test", False, {"video_test_0001292"}),
        ("afsd/thumos14_test_groundtruth.csv", "test", True, set()),
        ("tsp/thumos14_valid_tsp_groundtruth.csv", "validation", False, set()),
        ("tsp/thumos14_test_tsp_groundtruth.csv", "test", False, {"video_test_0001292"}),
    ],
)
def test_thumos14(
    test_data: Path, official: AnnotationSet, name: str, subset: str | None, has_ambiguous: bool, missing: set[str]
) -> None:
    numbered = name.endswith("test_groundtruth.csv") and name.startswith("afsd")
    classes = test_data / "thumos14/official_annotations/detclasslist.txt" if numbered else None
    other = read_annotations(test_data / "thumos14" / name, classes=classes)
    assert other.class_names == official.class_names
    expected = _content(official.of_subset(subset) if subset else official, ambiguous=has_ambiguous)
    for video_id in missing:
        del expected[video_id]
    assert _content(other) == expected


def test_what_leaving_out_the_wrong_videos_costs(test_data: Path, official: AnnotationSet) -> None:
    without = official.without(UNUSABLE).of_subset("test")
    assert len(official.ground_truth("test").labels) - len(without.ground_truth().labels) == 47
    gone = Counter(
        official.class_names[segment.label]
        for video in official.videos
        if video.video_id in UNUSABLE
        for segment in video.segments
        if not segment.ambiguous
    )
    assert gone == {"HammerThrow": 29, "CricketShot": 18}


def test_every_cliff_dive_is_a_dive(official: AnnotationSet) -> None:
    for own in _content(official).values():
        cliff, dives = ({(s, e) for label, s, e in own if label == name} for name in ("CliffDiving", "Diving"))
        assert cliff <= dives


def test_multithumos_has_the_instances_of_thumos14_to_a_frame(test_data: Path, official: AnnotationSet) -> None:
    multi = read_annotations(test_data / "multithumos/multithumos.json")
    ours, theirs = (_content(a, ambiguous=False, only=official.class_names) for a in (official, multi))
    assert ours.keys() == theirs.keys()
    assert sum((ours[v] & theirs[v]).total() for v in ours) == 5291
    assert sum(own.total() for own in theirs.values()) == 6365
    differing = {video_id for video_id in ours if ours[video_id] != theirs[video_id]}
    assert len(differing) == 54
    assert 0.03 < _furthest(ours, theirs) < 0.051, "times there are of frames of 25 to 30 a second"


def test_activitynet_13(test_data: Path) -> None:
    folder = test_data / "activitynet"
    some = _content(read_annotations(folder / "anet_anno_action.json.gz"))
    every = _content(read_annotations(folder / "anet_anno_action_19994.json.gz"))
    assert len(every.keys() - some.keys()) == 766
    assert {video_id: every[video_id] for video_id in some} == some
    regions = _content(read_annotations(folder / "tsp/activitynet_v1-3_valid_tsp_groundtruth.csv"))
    assert regions.keys() <= every.keys()
    assert 0 < _furthest(regions, every) < 1e-9, "TSP's are computed anew"


def test_activitynet_12_is_in_13(test_data: Path) -> None:
    folder = test_data / "activitynet"
    old = read_annotations(folder / "activity_net.v1-2.min-missing-removed.json")
    new = read_annotations(folder / "anet_anno_action_19994.json.gz")
    content = _content(new)
    renamed = {
        video_id: Counter({(_RENAMED.get(label, label), *times): n for (label, *times), n in own.items()})
        for video_id, own in _content(old).items()
    }
    assert renamed.keys() <= content.keys()
    added = [video_id for video_id, own in renamed.items() if own.total() != content[video_id].total()]
    assert [content.pop(video_id).total() - renamed[video_id].total() for video_id in added] == [1, 1]
    assert _furthest(renamed, content) < 1e-5, "rounded to five places there"
    durations = {video.video_id: video.duration_s for video in new.videos}
    assert all(video.duration_s == pytest.approx(durations[video.video_id], abs=1e-6) for video in old.videos)


def test_activitynet_12_validation(test_data: Path) -> None:
    folder = test_data / "activitynet"
    part = read_annotations(folder / "activity_net.v1-2.min-missing-removed.json").of_subset("validation")
    whole = read_annotations(folder / "gt_anet12.json")
    assert whole.class_names == part.class_names
    assert len(whole.videos) - len(part.videos) == 185
    everything = _content(whole)
    assert all(everything[video_id] == own for video_id, own in _content(part).items())


def test_charades(test_data: Path) -> None:
    tables, json = (read_annotations(test_data / name) for name in ("charades", "charades/charades.json"))
    by_id = {video.video_id: video for video in json.videos}
    assert tables.class_names == json.class_names
    assert len(tables.videos) == len(json.videos)
    assert all(by_id[video.video_id] == video for video in tables.videos), "subset, duration, segments, order"
    assert sum(not video.segments for video in tables.videos) == 223
