"""Every reader on real published files: the numbers of videos, segments, classes and faults that are known of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.annotations import AnnotationSet
from trainables.data.readers import read_annotations
from trainables.data.readers.classes import read_class_list
from trainables.data.readers.frame_labels import read_labelled_steps
from trainables.data.readers.raw import NO_LENGTH, REVERSED
from trainables.data.readers.video_ids import read_video_ids
from trainables.data.readers.video_info import read_video_info

LATE = "segment ends after its video"
TWICE = "segment is there more than once"
TEXT = "numbers stored as text"
BETWEEN = "region between actions"

# file, format, videos by subset, segments with those left out, ambiguous ones among them, classes, faults by rule
COUNTS: list[tuple[str, str, dict[str, int], int, int, int, dict[str, int]]] = [
    ("thumos14/official_annotations", "thumos14", {"test": 213, "validation": 200}, 6553, 188, 20, {}),
    ("thumos14/official_annotations/test", "thumos14", {"test": 213}, 3457, 99, 20, {}),
    ("thumos14/official_annotations/validation", "thumos14", {"validation": 200}, 3096, 89, 20, {}),
    ("thumos14/thumos14.json", "activitynet", {"Validation": 200, "Test": 212}, 6365, 0, 20, {LATE: 30}),
    ("thumos14/thumos_gt.json", "activitynet", {"train": 200, "test": 210}, 6318, 0, 20, {TEXT: 6318}),
    ("thumos14/thumos14_test_extra_characteristics.json", "activitynet", {"testing": 212}, 3358, 0, 20, {}),
    ("thumos14/afsd/val_Annotation.csv", "table", {"unknown": 200}, 3096, 89, 20, {}),
    ("thumos14/afsd/test_Annotation.csv", "table", {"unknown": 213}, 3457, 99, 20, {}),
    ("thumos14/afsd/val_Annotation_ours.csv", "table", {"unknown": 200}, 3007, 0, 20, {}),
    ("thumos14/afsd/test_Annotation_ours.csv", "table", {"unknown": 212}, 3358, 0, 20, {}),
    ("thumos14/afsd/thumos14_test_groundtruth.csv", "table", {"unknown": 213}, 3457, 99, 20, {LATE: 26}),
    (
        "thumos14/tsp/thumos14_valid_tsp_groundtruth.csv",
        "table",
        {"unknown": 200},
        3007,
        0,
        20,
        {LATE: 4, BETWEEN: 2178},
    ),
    (
        "thumos14/tsp/thumos14_test_tsp_groundtruth.csv",
        "table",
        {"unknown": 212},
        3358,
        0,
        20,
        {LATE: 26, BETWEEN: 2573},
    ),
    ("activitynet/anet_anno_action.json.gz", "bsn", {"unknown": 19228}, 22152, 0, 200, {LATE: 215, NO_LENGTH: 12}),
    (
        "activitynet/anet_anno_action_19994.json.gz",
        "bsn",
        {"unknown": 19994},
        23064,
        0,
        200,
        {LATE: 226, NO_LENGTH: 12},
    ),
    (
        "activitynet/tsp/activitynet_v1-3_train_tsp_groundtruth.csv.gz",
        "table",
        {"unknown": 10024},
        15410,
        0,
        200,
        {LATE: 1164, NO_LENGTH: 9, BETWEEN: 15956},
    ),
    (
        "activitynet/tsp/activitynet_v1-3_valid_tsp_groundtruth.csv",
        "table",
        {"unknown": 4926},
        7654,
        0,
        200,
        {LATE: 568, NO_LENGTH: 3, BETWEEN: 7747},
    ),
    (
        "activitynet/activity_net.v1-2.min-missing-removed.json",
        "activitynet",
        {"training": 4441, "validation": 2198, "testing": 2268},
        9869,
        0,
        100,
        {LATE: 172, NO_LENGTH: 9},
    ),
    ("activitynet/gt_anet12.json", "activitynet", {"test": 2383}, 3582, 0, 100, {LATE: 58, NO_LENGTH: 3}),
    ("charades/Charades_v1_train.csv.gz", "charades", {"training": 7985}, 49809, 0, 157, {LATE: 14596, REVERSED: 7}),
    ("charades/Charades_v1_test.csv", "charades", {"testing": 1863}, 16691, 0, 157, {LATE: 5027}),
    (
        "charades/charades.json",
        "actions",
        {"training": 7985, "testing": 1863},
        66500,
        0,
        157,
        {LATE: 19623, REVERSED: 7},
    ),
    (
        "multithumos/multithumos.json",
        "actions",
        {"training": 200, "testing": 213},
        38690,
        0,
        65,
        {LATE: 65, NO_LENGTH: 7},
    ),
    ("gtea_beoid/gtea_groundtruth.json", "activitynet", {"training": 21, "validation": 7}, 497, 0, 7, {LATE: 1}),
    ("gtea_beoid/beoid_groundtruth.json", "activitynet", {"training": 46, "validation": 12}, 742, 0, 34, {}),
    ("features/highjump/gt.json", "activitynet", {"Test": 3}, 6, 0, 3, {"video named by its file of features": 3}),
    ("features/mmaction2/action_test_anno.json", "bsn", {"unknown": 2}, 2, 0, 2, {}),
]


def _faults(annotations: AnnotationSet) -> Counter[str]:
    counts: Counter[str] = Counter()
    for fault in annotations.faults:
        counts[fault.rule] += fault.count
    return counts


@pytest.mark.parametrize(
    ("name", "form", "videos", "segments", "ambiguous", "classes", "faults"), COUNTS, ids=[row[0] for row in COUNTS]
)
def test_counts(
    test_data: Path,
    name: str,
    form: str,
    videos: dict[str, int],
    segments: int,
    ambiguous: int,
    classes: int,
    faults: dict[str, int],
) -> None:
    annotations = read_annotations(test_data / name)
    found = _faults(annotations)
    assert annotations.format == form
    assert Counter(video.subset for video in annotations.videos) == videos
    assert len(annotations.class_names) == classes
    own = [segment for video in annotations.videos for segment in video.segments]
    assert sum(segment.ambiguous for segment in own) == ambiguous
    left_out = found[NO_LENGTH] + found[REVERSED]
    assert len(own) + left_out == segments
    found.pop(TWICE, None)
    assert found == faults
    assert all(str(test_data) in fault.first for fault in annotations.faults)
    truth = annotations.ground_truth()
    assert len(truth.labels) == len(own) - ambiguous
    assert len(truth.ambiguous_s) == ambiguous
    assert (truth.segments_s[:, 1] > truth.segments_s[:, 0]).all()


@pytest.mark.parametrize(
    ("name", "copies"),
    [
        ("activitynet/anet_anno_action_19994.json.gz", 47),
        ("activitynet/activity_net.v1-2.min-missing-removed.json", 31),
        ("thumos14/official_annotations", 0),
        ("charades/charades.json", 0),
        ("multithumos/multithumos.json", 0),
    ],
)
def test_copies_are_counted_and_kept(test_data: Path, name: str, copies: int) -> None:
    faults = {fault.rule: fault for fault in read_annotations(test_data / name).faults}
    assert (faults[TWICE].count, faults[TWICE].action) == (copies, "kept") if copies else TWICE not in faults


def test_first_faults_are_those_of_the_files(test_data: Path) -> None:
    faults = {
        fault.rule: fault.first for fault in read_annotations(test_data / "charades/Charades_v1_train.csv.gz").faults
    }
    assert faults[REVERSED].endswith("line 100, video '00SL4', action 0: [18.0, 10.0]")
    faults = {fault.rule: fault.first for fault in read_annotations(test_data / "thumos14/thumos14.json").faults}
    assert faults[LATE].endswith("video 'video_test_0000270', annotation 7: [187.3, 193.4] of 176.25 s")


def test_classes_are_the_real_names_in_order(test_data: Path) -> None:
    thumos = read_annotations(test_data / "thumos14/official_annotations")
    assert thumos.class_names == read_class_list(test_data / "thumos14/official_annotations/detclasslist.txt").names
    assert thumos.class_names[:2] == ("BaseballPitch", "BasketballDunk")
    multi = read_annotations(test_data / "multithumos/multithumos.json")
    assert (multi.class_names[0], multi.class_names[20], multi.class_names[64]) == ("BaseballPitch", "Walk", "NoHuman")
    charades = read_annotations(test_data / "charades/charades.json")
    assert charades.class_names[0] == "Holding some clothes"
    anet = read_annotations(test_data / "activitynet/anet_anno_action.json.gz")
    mapping = test_data / "activitynet/tsp/activitynet_v1-3_action_label_mapping.json"
    assert anet.class_names == read_class_list(mapping).names


@pytest.mark.parametrize(
    ("name", "classes", "first_number", "last"),
    [
        ("thumos14/official_annotations/detclasslist.txt", 20, 7, "VolleyballSpiking"),
        ("thumos14/afsd/Class Index_Detection.txt", 20, 7, "VolleyballSpiking"),
        ("multithumos/thumos_mapping.txt~", 65, 1, "NoHuman"),
        ("charades/Charades_v1_classes.txt", 157, 0, "Someone is eating something"),
        ("activitynet/action_name.csv", 200, 0, "Playing badminton"),
        ("activitynet/tsp/activitynet_v1-3_action_label_mapping.json", 200, 0, "Zumba"),
        ("class_lists/label_map_k400.txt", 400, 0, "zumba"),
        ("class_lists/label_map_k600.txt", 600, 0, "zumba"),
        ("class_lists/label_map_k700.txt", 700, 0, "zumba"),
        ("class_lists/ucf101/label_map.txt", 101, 0, "YoYo"),
        ("class_lists/hmdb51/label_map.txt", 51, 0, "wave"),
    ],
)
def test_class_lists(test_data: Path, name: str, classes: int, first_number: int, last: str) -> None:
    names = read_class_list(test_data / name)
    assert len(names.names) == classes
    assert names.numbers[0] == first_number
    assert names.names[-1] == last


@pytest.mark.parametrize(
    ("name", "videos", "subsets"),
    [
        ("thumos14/validation_durations.txt", 1010, {None: 1010}),
        ("thumos14/test_durations.txt", 1574, {None: 1574}),
        ("thumos14/afsd/val_video_info.csv", 200, {"validation": 200}),
        ("thumos14/afsd/test_video_info.csv", 212, {"testing": 212}),
        ("thumos14/tsp/thumos14_valid_metadata.csv", 200, {"validation": 200}),
        ("thumos14/tsp/thumos14_test_metadata.csv", 213, {"testing": 213}),
        ("activitynet/video_info_new.csv", 19228, {"training": 9649, "validation": 4728, "testing": 4851}),
        ("activitynet/tsp/activitynet_v1-3_train_metadata.csv", 10024, {"training": 10024}),
        ("activitynet/tsp/activitynet_v1-3_valid_metadata.csv", 4926, {"validation": 4926}),
        ("activitynet/tsp/activitynet_v1-3_test_metadata.csv", 5044, {"testing": 5044}),
    ],
)
def test_video_information(test_data: Path, name: str, videos: int, subsets: dict[str | None, int]) -> None:
    info = read_video_info([test_data / name])
    assert len(info) == videos
    assert Counter(row.subset for row in info.values()) == subsets


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("activitynet/api_action_get_blocked.json", 986),
        ("thumos14/validation_avoid_videos.txt", 7),
        ("thumos14/test_avoid_videos.txt", 14),
    ],
)
def test_lists_of_videos(test_data: Path, name: str, ids: int) -> None:
    assert len(read_video_ids(test_data / name)) == ids


def test_blocked_videos_are_taken_out(test_data: Path) -> None:
    annotations = read_annotations(test_data / "activitynet/anet_anno_action_19994.json.gz")
    blocked = read_video_ids(test_data / "activitynet/api_action_get_blocked.json")
    left = annotations.without(blocked)
    assert len(left.videos) == 19994 - 986
    assert not {video.video_id for video in left.videos} & set(blocked)


def test_video_information_fills_what_annotations_lack(test_data: Path) -> None:
    info = test_data / "activitynet/video_info_new.csv"
    annotations = read_annotations(test_data / "activitynet/anet_anno_action.json.gz", video_info=[info])
    subsets = Counter(video.subset for video in annotations.videos)
    assert subsets == {"training": 9649, "validation": 4728, "testing": 4851}
    assert all(not video.segments for video in annotations.of_subset("testing").videos)
    assert _faults(annotations)[LATE] == 215
    tsp = [test_data / f"activitynet/tsp/activitynet_v1-3_{part}_metadata.csv" for part in ("train", "valid", "test")]
    whole = read_annotations(test_data / "activitynet/anet_anno_action_19994.json.gz", video_info=tsp)
    subsets = Counter(video.subset for video in whole.videos)
    assert subsets == {"training": 10024, "validation": 4926, "testing": 5044}
    assert _faults(whole)[LATE] == 226, "the annotation's own durations are used"
    assert {v.video_id: v.subset for v in annotations.videos}.items() <= {
        v.video_id: v.subset for v in whole.videos
    }.items()
    official = [test_data / f"thumos14/{part}_durations.txt" for part in ("validation", "test")]
    thumos = read_annotations(test_data / "thumos14/official_annotations", video_info=official)
    assert _faults(thumos) == {LATE: 30}, "the same as thumos14.json states"
    assert all(video.duration_s is not None for video in thumos.videos)


def test_50_salads(test_data: Path) -> None:
    annotations = read_annotations(test_data / "50salads")
    assert Counter(video.subset for video in annotations.videos) == {f"split_{k}": 10 for k in range(1, 6)}
    names = (test_data / "50salads/splits/all.txt").read_text(encoding="utf-8").split()
    assert sorted(video.video_id for video in annotations.videos) == sorted(names)
    labels = [segment.label for video in annotations.videos for segment in video.segments]
    assert (len(labels), sum(label > 0 for label in labels)) == (1259, 896)
    assert annotations.class_names[0] == "background"
    assert len(annotations.class_names) == 18
    durations = [video.duration_s or 0 for video in annotations.videos]
    assert (min(durations), max(durations), sum(durations)) == (212, 552, 16596)
    assert _faults(annotations)["sampling rate is not stated"] == 50


def test_50_salads_steps(test_data: Path) -> None:
    files = [test_data / f"50salads/mid/mid_video_SVM/Split_{k}.mat" for k in range(1, 6)]
    videos = [video for path in files for video in read_labelled_steps(path)]
    assert all(video.scores.shape == (len(video.labels), 18) for video in videos)
    accuracy = [100 * np.mean(video.decisions == video.labels) for video in videos]
    assert np.mean(accuracy) == pytest.approx(54.9, abs=0.05)
    times: dict[str, Any] = {v.video_id: v for v in read_annotations(files[0], seconds_per_step=0.2).videos}
    for video in videos[:10]:
        painted = np.repeat(
            [s.label for s in times[video.video_id].segments],
            [round((s.end_s - s.start_s) / 0.2) for s in times[video.video_id].segments],
        )
        assert painted.tolist() == video.labels.tolist()
