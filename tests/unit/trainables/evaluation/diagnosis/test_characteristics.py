"""Characteristics from annotations, buckets, and the reader of DETAD's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnosis_cases import CLASSES, DURATIONS_S, VIDEOS, annotations
from diagnosis_references import Truth, arrays, bucket_of
from hypothesis import given
from hypothesis import strategies as st

from trainables.evaluation.diagnosis.buckets import ACTIVITYNET_BUCKETS, THUMOS14_BUCKETS, Buckets, quantile_buckets
from trainables.evaluation.diagnosis.characteristics import annotated_characteristics, characterise
from trainables.evaluation.diagnosis.extra_characteristics import read_extra_characteristics


def test_characteristics_by_hand() -> None:
    gt: Truth = [("w", 0, 5, "run"), ("v", 1, 4, "run"), ("v", 6, 12, "run"), ("v", 0, 12, "jump")]
    _, truth = arrays(VIDEOS, CLASSES, gt, [])
    made = annotated_characteristics(truth, DURATIONS_S)
    assert made["coverage"].tolist() == [0.25, 0.25, 0.5, 1.0]
    assert made["length_s"].tolist() == [5.0, 3.0, 6.0, 12.0]
    assert made["num_instances"].tolist() == [1, 2, 2, 1]


@given(annotations())
def test_characteristics_equal_a_textbook_version(gt: Truth) -> None:
    _, truth = arrays(VIDEOS, CLASSES, gt, [])
    made = annotated_characteristics(truth, DURATIONS_S)
    for row, (video, start, end, label) in enumerate(gt):
        assert made["coverage"][row] == pytest.approx((end - start) / DURATIONS_S[video])
        assert made["length_s"][row] == end - start
        assert made["num_instances"][row] == sum(g[0] == video and g[3] == label for g in gt)


@pytest.mark.parametrize(
    ("durations", "complaint"),
    [({}, "'v' is missing"), ({"v": 0.0}, "'v' is 0.0 s"), ({"v": float("nan")}, "'v' is nan s")],
)
def test_a_duration_that_is_none_is_refused(durations: dict[str, float], complaint: str) -> None:
    _, truth = arrays(VIDEOS, CLASSES, [("v", 0, 5, "run")], [])
    with pytest.raises(ValueError, match=f"durations: video {complaint}; coverage needs a positive number"):
        annotated_characteristics(truth, durations)


EDGES = [
    ("coverage", [0.0, 0.1, 0.2, 0.2000001, 0.6, 0.61, 1.0, 1.0000001, np.nan], "XS XS XS S M L XL - -"),
    ("length_s", [0.5, 30, 30.5, 60, 120, 121, 180, 180.5, 1e6], "XS XS S S M L L XL XL"),
    ("num_instances", [1, 2, 4, 5, 8, 9, 500], "XS S S M M L L"),
    ("context_size", [0, 1, 6, 7, np.nan], "0 1 6 - -"),
    ("context_distance", [-1, 0, 1, 2, 3], "Inf Inf N M F"),
    ("agreement", [0, 0.2, 0.3, 0.5, 0.7, 0.9, 1], "XW XW W M H XH XH"),
]


@pytest.mark.parametrize(("name", "values", "expected"), EDGES, ids=[row[0] for row in EDGES])
def test_activitynet_buckets_hold_their_upper_edge(name: str, values: list[float], expected: str) -> None:
    buckets = ACTIVITYNET_BUCKETS[name]
    found = buckets.index(np.asarray(values, np.float64))
    assert [buckets.names[i] if i >= 0 else "-" for i in found] == expected.split()


@given(st.lists(st.integers(-5, 60).map(lambda v: v / 10), max_size=20))
def test_buckets_equal_a_textbook_version(values: list[float]) -> None:
    for buckets in (THUMOS14_BUCKETS["length_s"], Buckets((0.0, 1.5, 2.0), ("low", "high"))):
        assert buckets.index(np.asarray(values)).tolist() == [bucket_of(v, buckets.edges) for v in values]


@given(st.lists(st.one_of(st.integers(-9, 9), st.just(np.nan)), min_size=1, max_size=60))
def test_quantile_buckets_hold_every_known_value_and_are_never_empty(values: list[float]) -> None:
    array = np.asarray(values, np.float64)
    known = ~np.isnan(array)
    if not known.any():
        with pytest.raises(ValueError, match="no instance has a value"):
            quantile_buckets(array)
        return
    buckets = quantile_buckets(array)
    found = buckets.index(array)
    assert ((found >= 0) == known).all()
    assert set(found[known].tolist()) == set(range(len(buckets.names)))
    assert len(buckets.names) <= 5


def test_quantile_buckets_of_distinct_values_are_equally_full() -> None:
    values = np.random.default_rng(0).permutation(1000).astype(np.float64)
    buckets = quantile_buckets(values)
    assert buckets.names == ("XS", "S", "M", "L", "XL")
    assert np.bincount(buckets.index(values)).tolist() == [200] * 5


@pytest.mark.parametrize(
    ("edges", "names", "complaint"),
    [
        ((0.0, 1.0), ("a", "b"), r"2 edges bound 1 ranges, names \('a', 'b'\)"),
        ((0.0,), (), "1 edges bound 0 ranges"),
        ((0.0, 0.0, 1.0), ("a", "b"), "must rise"),
        ((0.0, float("nan"), 1.0), ("a", "b"), "must rise"),
        ((0.0, 1.0, 2.0), ("a", "a"), "repeat"),
    ],
)
def test_buckets_that_are_none_are_refused(edges: tuple[float, ...], names: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Buckets(edges, names)


def test_characteristics_without_buckets_get_quantiles() -> None:
    values = {"coverage": np.array([0.1, 0.9]), "mood": np.array([3.0, 7.0])}
    coverage, mood = characterise(values, ACTIVITYNET_BUCKETS)
    assert coverage.buckets is ACTIVITYNET_BUCKETS["coverage"]
    assert coverage.num_instances.tolist() == [1, 0, 0, 0, 1]
    assert mood.bucket.tolist() == [0, 1]
    assert mood.to_dict()["edges"] == [None, 3.0, None]
    with pytest.raises(ValueError, match="mood: buckets: no instance has a value"):
        characterise({"mood": np.full(2, np.nan)}, {})


ENTRY = {
    "segment": [1, 3.5], "label": "run", "context-size": None, "context-distance": 2, "agreement": 0.4,
    "coverage": 0.25, "length": 2.5, "num-instances": 1, "all-segments": None,
}  # fmt: skip


def _write(folder: Path, *entries: Any, **video: Any) -> Path:
    path = folder / "extra.json"
    database = {"v": {"subset": "validation", "annotations": list(entries), **video}}
    database["w"] = {"subset": "training", "annotations": [{}]}
    path.write_text(json.dumps({"database": database, "taxonomy": [], "version": ""}))
    return path


def test_the_file_gives_annotations_and_values(tmp_path: Path) -> None:
    path = _write(tmp_path, ENTRY, {**ENTRY, "segment": [5, 9], "label": "jump", "agreement": None})
    extra = read_extra_characteristics(path, subset="validation")
    assert extra.truth.video_ids == ("v",)
    assert extra.truth.class_names == ("run", "jump")
    assert extra.truth.segments_s.tolist() == [[1, 3.5], [5, 9]]
    assert set(extra.values) == {"context_distance", "agreement", "coverage", "length_s", "num_instances"}
    assert extra.values["agreement"].tolist() == pytest.approx([0.4, np.nan], nan_ok=True)
    _, other = arrays(("x", "v"), ("jump", "run"), [("v", 5, 9, "jump"), ("v", 1, 3.5, "run")], [])
    assert extra.of(other)["agreement"].tolist() == pytest.approx([np.nan, 0.4], nan_ok=True)
    _, moved = arrays(("v",), ("jump", "run"), [("v", 5, 9, "jump"), ("v", 1, 3.6, "run")], [])
    with pytest.raises(ValueError, match=r"extra.json: holds no run at \[1.0, 3.6\] in video 'v' .*row 1"):
        extra.of(moved)


BAD_ENTRIES = [
    ({k: v for k, v in ENTRY.items() if k != "segment"}, "KeyError 'segment'"),
    ({k: v for k, v in ENTRY.items() if k != "label"}, "KeyError 'label'"),
    ({**ENTRY, "segment": [3, 3]}, r"segment \[3.0, 3.0\] does not end after its start"),
    ({**ENTRY, "segment": [None, 3]}, "does not end after its start"),
    ({**ENTRY, "coverage": "0.3"}, "'0.3' is no number"),
    ({**ENTRY, "agreement": True}, "True is no number"),
    ({**ENTRY, "length": float("inf")}, "inf is not finite"),
    ("run", "expected segment, label and numbers or null"),
]


@pytest.mark.parametrize(("entry", "complaint"), BAD_ENTRIES)
def test_a_bad_entry_is_named(tmp_path: Path, entry: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"extra.json: video 'v', annotation 1: .*{complaint}"):
        read_extra_characteristics(_write(tmp_path, ENTRY, entry), subset="validation")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, ENTRY)
    with pytest.raises(ValueError, match="no video of subset 'testing'; the file has training, validation"):
        read_extra_characteristics(path, subset="testing")
    plain = {k: v for k, v in ENTRY.items() if k in ("segment", "label")}
    with pytest.raises(ValueError, match="no annotation has a number under any of context-size"):
        read_extra_characteristics(_write(tmp_path, plain), subset="validation")
    with pytest.raises(ValueError, match="video 'v' has no list of 'annotations'"):
        read_extra_characteristics(_write(tmp_path, annotations=None), subset="validation")
    for content in ("[]", '{"database": []}', '{"database": {"v": 3}}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="no 'database' of videos"):
            read_extra_characteristics(path, subset="testing")
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        read_extra_characteristics(path, subset="testing")
