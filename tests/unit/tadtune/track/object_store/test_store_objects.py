"""Addresses of stores, what goes wrong with them in words, and objects replaced whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import Switch, contents, make_store

from tadtune.spec.errors import StudyError
from tadtune.track.object_store.objects import below, explain, is_address, local_folder, open_store
from tadtune.track.object_store.study import StoredStudyFolder
from tadtune.track.storage import storage_folder, study_folder
from tadtune.track.study_folder import StudyFolder


@pytest.mark.parametrize(
    ("storage", "wanted"),
    [
        ("s3://b/p", True),
        ("gs://b", True),
        ("abfss://c@a.dfs.core.windows.net/p", True),
        ("runs", False),
        ("/shared/runs", False),
        ("s3:/b", False),
        ("runs/s3://b", False),
    ],
)
def test_addresses_are_told_from_folders(storage: str, wanted: bool) -> None:
    assert is_address(storage) == wanted


def test_what_lies_below_an_address_keeps_its_options() -> None:
    assert below("s3://b/p?region=r&scheme=http", "x/y") == "s3://b/p/x/y?region=r&scheme=http"
    assert below("s3://b", "x") == "s3://b/x"
    assert below("gs://b/p/", "x") == "gs://b/p/x"


def test_each_address_has_a_copy_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TADTUNE_CACHE", str(tmp_path))
    one = local_folder("s3://b/p?endpoint_override=a")
    assert one.parent == tmp_path
    assert one == local_folder("s3://b/p/?endpoint_override=a")
    assert len({one, local_folder("s3://b/p"), local_folder("s3://b/q"), local_folder("gs://b/p")}) == 4
    monkeypatch.delenv("TADTUNE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_folder("s3://b/p").parent == tmp_path / ".cache" / "tadtune"


def test_a_folder_stays_a_folder(tmp_path: Path) -> None:
    assert type(study_folder(str(tmp_path), "study")) is StudyFolder
    assert storage_folder("runs") == Path("runs").absolute()
    stored = study_folder("s3://bucket/p?region=us-east-1", "study")
    assert isinstance(stored, StoredStudyFolder)
    assert stored.path == local_folder("s3://bucket/p?region=us-east-1") / "study"


@pytest.mark.parametrize("address", ["s3://AKIA:secret@bucket/p", "s3://AKIA@bucket/p", "gs://user:secret@bucket"])
def test_a_key_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(StudyError, match="holds a key") as caught:
        open_store(address)
    assert "secret" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file:///tmp/runs", "is a folder; give its path, /tmp/runs"),
        ("ftp://host/runs", "cannot be used .*Unrecognized filesystem type"),
        ("s3://bucket/p?regon=x", "cannot be used .*Unexpected query parameter in S3 URI: 'regon'"),
    ],
)
def test_what_is_no_store_is_refused(address: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        open_store(address)


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (
            "AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation: The specified bucket does not exist",
            "no such bucket",
        ),
        ("AWS Error ACCESS_DENIED during HeadObject operation: No response body.", "refuses these credentials"),
        ("AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2 operation: The AWS Access Key Id", "AWS_ACCESS_KEY_ID"),
        ("AWS Error UNKNOWN (HTTP status 301) during HeadObject: PermanentRedirect", r"another region.*\?region="),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 6", "it does not answer"),
        ("google::cloud::Status(UNAVAILABLE: Could not connect to server", "it does not answer"),
        ("google::cloud::Status(UNAVAILABLE: Could not create a OAuth2 access token", "no credentials were found"),
        ("something nobody has seen", "cannot be used"),
    ],
)
def test_what_goes_wrong_is_said_with_the_way_out(words: str, meaning: str) -> None:
    error = explain("s3://b/p", OSError(words))
    assert len(error.lines) == 1
    with pytest.raises(StudyError, match=rf"^storage: s3://b/p: .*{meaning}"):
        raise error
    assert words in str(error)


def test_objects_come_back_as_they_were(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    data = bytes(range(256)) * 40_000  # more than a chunk
    (tmp_path / "large").write_bytes(data)
    with (tmp_path / "large").open("rb") as stream:
        store.upload("a/large", stream)
    store.write("a/table.csv.gz", b"not compressed twice")
    store.download("a/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert store.read("a/table.csv.gz") == b"not compressed twice"
    assert {name: version.size for name, version in store.below("a").versions().items()} == {
        "large": len(data),
        "table.csv.gz": 20,
    }
    assert store.versions("a") == store.below("a").versions()
    assert store.folders() == ["a"]
    store.delete("a/large")
    store.delete("a/large")
    assert store.version("a/large") is None
    with pytest.raises(FileNotFoundError):
        store.download("a/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_an_object_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    for requests in range(3):
        switch = Switch()
        store = make_store(tmp_path / str(requests), switch)
        store.write("a", b"old")
        switch.left = requests
        with pytest.raises(OSError, match="Could not connect"):
            store.write("a", b"new")
        assert contents(tmp_path / str(requests))["a"] == b"old"
        assert list(store_versions(tmp_path / str(requests))) == ["a"]


def store_versions(root: Path) -> dict[str, object]:
    return dict(make_store(root).versions())


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert store.check() > 1e9
    assert contents(tmp_path) == {}
