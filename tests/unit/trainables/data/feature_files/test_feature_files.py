"""Finding the array of every video: a folder of files, or one file of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from trainables.data.feature_files.locate import FeatureFiles, locate, read_features

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_a_folder_of_files_of_any_kind(tmp_path: Path) -> None:
    np.save(tmp_path / "v_a.npy", VALUES)
    np.savetxt(tmp_path / "v_b.csv", 2 * VALUES, delimiter=",")
    scipy.io.savemat(tmp_path / "v_c.mat", {"rgb": 3 * VALUES, "flow": VALUES})
    np.save(tmp_path / "v_z.npy", VALUES)
    (tmp_path / "notes.txt").write_text("no features")
    files = FeatureFiles(tmp_path, name="v_{video_id}", channels=3)
    found = locate(files, ["a", "b", "d"])
    assert {v: place.path.name for v, place in found.places.items()} == {"a": "v_a.npy", "b": "v_b.csv"}
    assert found.unused == 2, "c and z"
    assert np.array_equal(read_features(files, found.places["b"]), 2 * VALUES)
    keyed = FeatureFiles(tmp_path, name="v_{video_id}", channels=3, key="rgb")
    assert np.array_equal(read_features(keyed, locate(keyed, ["c"]).places["c"]), 3 * VALUES)


def test_one_file_of_all_videos(tmp_path: Path) -> None:
    path = tmp_path / "all.h5"
    with h5py.File(path, "w") as file:
        for i, video in enumerate("abc"):
            file[f"v_{video}/c3d"] = VALUES.T + i
    files = FeatureFiles(path, name="v_{video_id}/c3d", channels=3)
    found = locate(files, ["c", "a", "d"])
    assert found.places.keys() == {"a", "c"}
    assert found.unused == 1
    assert np.array_equal(read_features(files, found.places["c"]), VALUES + 2)
    assert str(found.places["a"]) == f"{path}: array 'v_a/c3d'"


def test_cells_have_the_names_that_are_given(tmp_path: Path) -> None:
    cells = np.empty((2, 1), object)
    cells[0, 0], cells[1, 0] = VALUES, 2 * VALUES
    scipy.io.savemat(tmp_path / "two.mat", {"S": cells, "Y": cells})
    files = FeatureFiles(tmp_path / "two.mat", layout="tc", cells=("x", "y"), key="S")
    assert {place.key for place in locate(files, "xy").places.values()} == {"S[0]", "S[1]"}
    scipy.io.savemat(tmp_path / "s.mat", {"S": cells})
    files = FeatureFiles(tmp_path / "s.mat", layout="tc", cells=("x", "y"))
    found = locate(files, ["y"])
    assert np.array_equal(read_features(files, found.places["y"]), 2 * VALUES)
    assert found.unused == 1
    for names, complaint in (
        (("x",), "2 cells in 'all cell arrays', 1 names"),
        (("x", "x"), "two cells have the name of one video"),
    ):
        with pytest.raises(ValueError, match=complaint):
            locate(FeatureFiles(tmp_path / "s.mat", layout="tc", cells=names), ["x"])


def test_the_complaint_names_file_and_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", a=np.zeros((2, 2)), b=np.full((3, 5), np.nan))
    files = FeatureFiles(tmp_path / "all.npz", channels=5)
    found = locate(files, ["a", "b"])
    with pytest.raises(ValueError, match=r"all\.npz: array 'a': no axis of \(2, 2\) has the 5 channels"):
        read_features(files, found.places["a"])
    with pytest.raises(ValueError, match=r"all\.npz: array 'b': snippet 0 of 3"):
        read_features(files, found.places["b"])


def test_two_files_of_one_video_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    np.savez(tmp_path / "a.npz", x=VALUES)
    with pytest.raises(ValueError, match=r"video 'a' has a\.npy and a\.npz; keep one of them"):
        locate(FeatureFiles(tmp_path, layout="tc"), ["a"])
    assert locate(FeatureFiles(tmp_path, layout="tc"), ["b"]).places == {}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"path": "none", "layout": "tc"}, "none: no such folder or file of features"),
        ({"path": "a.npy", "layout": "tc"}, r"a\.npy: one file of all videos ends in \.npz"),
        ({"path": "a.npz", "layout": "tc", "key": "x"}, "'key' names the array within each file of a folder"),
        ({"path": "a.npz"}, r"a\.npz: give the layout \(tc or ct\) or the number of channels"),
        ({"path": "a.npz", "layout": "tc", "name": "video"}, r"name: 'video' must hold \{video_id\}"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, settings: dict[str, Any], complaint: str) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    np.savez(tmp_path / "a.npz", a=VALUES)
    with pytest.raises((ValueError, FileNotFoundError), match=complaint):
        locate(FeatureFiles(**{**settings, "path": tmp_path / settings["path"]}), ["a"])
