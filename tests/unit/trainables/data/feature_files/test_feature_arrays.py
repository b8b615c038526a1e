"""Arrays out of every kind of file, and one clear complaint for each that cannot be read."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trainables.data.feature_files.arrays import ENDINGS, array_names, read_array

VALUES = np.arange(12, dtype=np.float64).reshape(4, 3) / 7


def _table(values: np.ndarray) -> pa.Table:
    return pa.table({f"f{c}": values[:, c] for c in range(values.shape[1])})


def _vectors(values: np.ndarray) -> pa.Table:
    return pa.table({"feats": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])})


def write(path: Path, values: np.ndarray, name: str = "feats") -> None:
    """One array in a file, by its ending."""
    ending = path.suffix
    if ending == ".npy":
        np.save(path, values)
    elif ending == ".npz":
        np.savez(path, **{name: values})
    elif ending in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            file[name] = values
    elif ending == ".csv":
        np.savetxt(path, values, delimiter=",", fmt="%.17g")
    elif ending == ".mat":
        scipy.io.savemat(path, {name: values})
    elif ending == ".parquet":
        pq.write_table(_table(values), path)
    else:
        pyarrow.feather.write_feather(_table(values), path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_file_gives_the_same_array(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"v{ending}"
    write(path, VALUES)
    found = read_array(path)
    assert found.dtype == np.float64
    assert np.array_equal(found, VALUES)


@settings(max_examples=20)
@given(
    values=arrays.arrays(
        np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(-1e30, 1e30, allow_nan=False)
    ),
    ending=st.sampled_from(ENDINGS),
)
def test_numbers_survive_every_kind_of_file(tmp_path_factory: pytest.TempPathFactory, values: Any, ending: str) -> None:
    path = tmp_path_factory.mktemp("a") / f"v{ending}"
    write(path, values)
    assert np.array_equal(read_array(path), values)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5"])
def test_types_are_left_as_stored(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"v{ending}"
    write(path, VALUES.astype(kind))
    assert read_array(path).dtype == np.dtype(kind)


def test_npy_files_are_mapped_not_read(tmp_path: Path) -> None:
    write(tmp_path / "v.npy", VALUES)
    assert isinstance(read_array(tmp_path / "v.npy"), np.memmap)


def test_a_csv_file_with_and_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("f0,f1\n1,2\n3,4e-1\n")
    assert read_array(path).tolist() == [[1, 2], [3, 0.4]]
    path.write_text("1,2\n")
    assert read_array(path).tolist() == [[1, 2]]
    path.write_text("1\n2\n")
    assert read_array(path).tolist() == [[1], [2]]


@pytest.mark.parametrize("ending", [".arrow", ".parquet"])
def test_a_column_of_vectors(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"v{ending}"
    table = _vectors(VALUES.astype(np.float32))
    if ending == ".parquet":
        pq.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, path)
    found = read_array(path)
    assert found.dtype == np.float32
    assert np.array_equal(found, VALUES.astype(np.float32))


def test_a_missing_cell_of_a_table_is_not_a_number(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0, None], "b": [2.0, 3.0]}), tmp_path / "v.parquet")
    assert np.array_equal(read_array(tmp_path / "v.parquet"), [[1, 2], [np.nan, 3]], equal_nan=True)


def test_arrays_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", rgb=VALUES, flow=-VALUES)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["v1/c3d"], file["v2/c3d"] = VALUES, -VALUES
    assert array_names(tmp_path / "v.npz") == ("rgb", "flow")
    assert array_names(tmp_path / "v.h5") == ("v1/c3d", "v2/c3d")
    assert np.array_equal(read_array(tmp_path / "v.npz", "flow"), -VALUES)
    assert np.array_equal(read_array(tmp_path / "v.h5", "v2/c3d"), -VALUES)


def test_cells_of_a_matlab_array(tmp_path: Path) -> None:
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = VALUES, VALUES[:2]
    scipy.io.savemat(tmp_path / "v.mat", {"S": cells, "x": VALUES})
    assert array_names(tmp_path / "v.mat") == ("S[0]", "S[1]", "x")
    assert np.array_equal(read_array(tmp_path / "v.mat", "S[1]"), VALUES[:2])
    with pytest.raises(ValueError, match=r"'S' is object \(1, 2\), it has no cell 2"):
        read_array(tmp_path / "v.mat", "S[2]")
    with pytest.raises(ValueError, match="'x' is float64"):
        read_array(tmp_path / "v.mat", "x[0]")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", [b"", b"\x00" * 200, b"no numbers, here"])
def test_damaged_files_are_named(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"v{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"v\{ending}: "):
        read_array(path)


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".csv"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_files_are_named(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"v{ending}"
    write(path, np.random.default_rng(0).normal(size=(64, 32)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"v\{ending}: "):
        read_array(path)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.savez(tmp_path / "v.npz", a=np.array([{"a": 1}], object))
    for name in ("v.npy", "v.npz"):
        with pytest.raises(
            ValueError, match=r"v\.np.: not a readable .* file of plain numbers: .*(Object arrays|Python objects)"
        ):
            read_array(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "key", "complaint"),
    [
        ("v.txt", None, r"v\.txt: features are in files that end in \.npy"),
        ("none.npy", None, "no such file"),
        ("v.npy", "a", "holds one array without a name; leave out the name 'a'"),
        ("two.npz", None, r"two\.npz: holds 2 arrays \(a, b\); say which one is meant"),
        ("two.npz", "c", r"two\.npz: holds no array 'c', only: a, b"),
        ("empty.h5", None, r"empty\.h5: holds 0 arrays"),
        ("ragged.csv", None, r"ragged\.csv: not a readable"),
        ("word.csv", None, r"word\.csv: not a readable .*at row 1"),
        ("first.csv", None, r"first\.csv: not a readable .*'x'.*at row 0"),
        ("header.csv", None, r"header\.csv: holds no row of numbers"),
        ("text.parquet", None, r"text\.parquet: expected one column of vectors or columns of numbers, got \['a'\]"),
        ("lists.parquet", None, r"lists\.parquet: the vectors of column 'a' are not all of one length"),
    ],
)
def test_what_is_asked_for_must_be_there(tmp_path: Path, name: str, key: str | None, complaint: str) -> None:
    (tmp_path / "v.txt").write_text("1")
    write(tmp_path / "v.npy", VALUES)
    np.savez(tmp_path / "two.npz", a=VALUES, b=VALUES)
    h5py.File(tmp_path / "empty.h5", "w").close()
    (tmp_path / "ragged.csv").write_text("1,2\n3\n")
    (tmp_path / "word.csv").write_text("1,2\n3,x\n")
    (tmp_path / "first.csv").write_text("1,x\n3,4\n")  # no header: it would be lost
    (tmp_path / "header.csv").write_text("a,b\n")
    pq.write_table(pa.table({"a": ["x"], "b": [1.0]}), tmp_path / "text.parquet")
    pq.write_table(pa.table({"a": [[1.0], [1.0, 2.0]]}), tmp_path / "lists.parquet")
    with pytest.raises((ValueError, FileNotFoundError), match=complaint):
        read_array(tmp_path / name, key)


def test_only_some_files_hold_several_arrays(tmp_path: Path) -> None:
    write(tmp_path / "v.npy", VALUES)
    with pytest.raises(ValueError, match=r"no file that holds several arrays; those end in \.npz, \.h5, \.hdf5, \.mat"):
        array_names(tmp_path / "v.npy")
    (tmp_path / "v.h5").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"v\.h5: not a readable"):
        array_names(tmp_path / "v.h5")


def test_real_files(test_data: Path) -> None:
    features = test_data / "features"
    assert read_array(features / "highjump" / "highjump.npy").shape == (164, 2048)
    assert read_array(features / "paddlevideo" / "example_feat.npy").shape == (100, 400)
    for name in ("v_test1.csv", "v_test2.csv"):
        values = read_array(features / "mmaction2" / name)
        assert values.shape == (5, 400)
        lines = (features / "mmaction2" / name).read_text().splitlines()
        assert values[2].tolist() == [float(cell) for cell in lines[3].split(",")]
    tsp = features / "thumos14_tsp_gvf" / "r2plus1d_34-max_gvf.h5"
    names = array_names(tsp)
    assert len(names) == 413
    assert sum(name.startswith("video_validation") for name in names) == 200
    assert {read_array(tsp, name).shape for name in names[:20]} == {(512,)}


def test_real_scores_of_matlab(test_data: Path) -> None:
    folder = test_data / "50salads" / "mid" / "mid_video_SVM"
    lengths = []
    for split in range(1, 6):
        path = folder / f"Split_{split}.mat"
        cells = [name for name in array_names(path) if name.startswith("S[")]
        assert len(cells) == 10
        for cell in cells:
            values = read_array(path, cell)
            assert values.shape[1] == 18
            lengths.append(len(values))
    assert (min(lengths), max(lengths), sum(lengths)) == (212, 552, 16_596)


def test_real_clips_out_of_an_archive(test_data: Path, tmp_path: Path) -> None:
    with tarfile.open(test_data / "features" / "gym_i3d" / "gym_i3d_odd.tar.xz") as archive:
        members = [member for member in archive if member.name.endswith(".npy")]
        assert len(members) == 254
        stream = archive.extractfile(members[0])
        assert stream is not None
        content = stream.read()
    (tmp_path / "clip.npy").write_bytes(content)
    assert np.array_equal(read_array(tmp_path / "clip.npy"), np.load(io.BytesIO(content), allow_pickle=False))
