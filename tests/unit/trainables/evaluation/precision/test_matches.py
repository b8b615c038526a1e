"""Stored matches: what is written is read, and what cannot be right is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from detection_references import Case

from trainables.evaluation.detection.protocols import ActivityNet, Thumos14Official
from trainables.evaluation.precision.matches import Matches, join_thresholds, load_matches

CASE = Case(
    ("v", "w", "empty"),
    [("v", 0, 10, 0), ("v", 20, 30, 1), ("w", 5, 9, 0)],
    [("v", 0, 9, 0, 0.5), ("v", 0, 10, 0, 0.8), ("w", 50, 59, 0, 1 / 3), ("v", 20, 30, 1, 0.2), ("w", 0, 1, 1, 0.1)],
    [("w", 50, 51)],
    num_classes=2,
)


@pytest.fixture(params=[ActivityNet((0.3, 0.95)), Thumos14Official()], ids=lambda p: p.key)
def matches(request: pytest.FixtureRequest) -> Matches:
    made: Matches = request.param.match(*CASE.arrays())
    return made


def test_a_file_gives_back_everything(matches: Matches, tmp_path: Path) -> None:
    matches.save(tmp_path / "m.arrow")
    again = load_matches(tmp_path / "m.arrow")
    for name in ("protocol", "tiou_thresholds", "class_names", "video_ids", "warnings"):
        assert getattr(again, name) == getattr(matches, name)
    for name in ("label", "video", "score", "outcome", "num_gt"):
        assert np.array_equal(getattr(again, name), getattr(matches, name))
    assert [p.name for p in tmp_path.iterdir()] == ["m.arrow"]


@pytest.mark.parametrize("cls", [ActivityNet, Thumos14Official])
def test_detections_that_differ_from_threshold_to_threshold_are_scored_by_their_own(cls: Any, tmp_path: Path) -> None:
    """Three sets, of which one is empty and two share detections of equal score."""
    sets = {0.3: CASE.found, 0.5: [], 0.95: [("v", 1, 10, 0, 0.5), ("w", 5, 9, 0, 0.5), ("v", 20, 30, 1, 0.2)]}
    parts = []
    for threshold, found in sets.items():
        parts.append(cls((threshold,)).match(*replace(CASE, found=found).arrays()))
    protocol = cls(tuple(sets))
    join_thresholds(parts).save(tmp_path / "m.arrow")
    joined = protocol.load_matches(tmp_path / "m.arrow")
    assert len(joined.label) == sum(len(found) for found in sets.values())
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    expected = [cls(part.tiou_thresholds).resample(part, weights)[:, 0] for part in parts]
    found = protocol.resample(joined, weights)
    assert found[:, :3] == pytest.approx(np.stack(expected, axis=1), abs=1e-12)
    assert found[:, 3] == pytest.approx(np.mean(expected, axis=0), abs=1e-12)
    assert 0 < found[0, 0] <= 1
    assert joined.warnings.get("tied_scores", 0) == max(part.warnings.get("tied_scores", 0) for part in parts)


def test_parts_of_different_wholes_are_refused() -> None:
    one, other = ActivityNet((0.3,)), Thumos14Official((0.5,))
    with pytest.raises(ValueError, match="the same protocol, classes and videos"):
        join_thresholds([one.match(*CASE.arrays()), other.match(*CASE.arrays())])
    fewer = replace(CASE, gt=CASE.gt[:2])
    with pytest.raises(ValueError, match="the same segments"):
        join_thresholds([one.match(*CASE.arrays()), ActivityNet((0.5,)).match(*fewer.arrays())])


def test_nothing_found_can_be_stored(tmp_path: Path) -> None:
    protocol = ActivityNet()
    found, truth = replace(CASE, found=[]).arrays()
    protocol.match(found, truth).save(tmp_path / "m.arrow")
    assert protocol.score(protocol.load_matches(tmp_path / "m.arrow"))["avg_map"] == 0.0


def test_matches_of_another_protocol_or_grid_are_refused(tmp_path: Path) -> None:
    protocol = ActivityNet((0.5,))
    made = protocol.match(*CASE.arrays())
    made.save(tmp_path / "m.arrow")
    for other in (Thumos14Official((0.5,)), ActivityNet((0.5, 0.75))):
        with pytest.raises(ValueError, match=r"m.arrow: matched by 'activitynet 1' at \(0.5,\)"):
            other.load_matches(tmp_path / "m.arrow")
        with pytest.raises(ValueError, match="match the detections again"):
            other.score(made)
        with pytest.raises(ValueError, match="match the detections again"):
            other.per_class_ap(made)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    table = pa.table({"label": [1]})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=r"t.arrow: holds no matches"):
        load_matches(tmp_path / "t.arrow")
    (tmp_path / "half.arrow").write_bytes((tmp_path / "t.arrow").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"half.arrow: not a whole Arrow file"):
        load_matches(tmp_path / "half.arrow")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"video": np.zeros(2, np.int64)}, r"video has shape \(2,\), expected \(5,\)"),
        ({"num_gt": np.zeros((2, 2), np.int64)}, r"num_gt has shape \(2, 2\), expected \(3, 2\)"),
        ({"video": np.array([0, 0, 1, 0, 3])}, r"video in \[0, 3\); broken at index \[4\]"),
        ({"label": np.array([0, 0, 0, 1, 2])}, r"label in \[0, 2\)"),
        ({"label": np.array([0, 0, 1, 0, 1])}, "label ascending"),
        ({"score": np.array([0.5, 0.8, 0.1, 0.2, 0.1])}, "score falling within a class"),
        ({"outcome": np.full((5, 1), 2, np.int8)}, "outcome 1, 0 or -1"),
        ({"outcome": np.ones((5, 1), np.int8)}, "no more true positives than segments"),
    ],
)
def test_arrays_that_cannot_be_right_are_refused(change: dict[str, Any], complaint: str) -> None:
    made = ActivityNet((0.5,)).match(*CASE.arrays())
    with pytest.raises(ValueError, match=complaint):
        replace(made, **change)
