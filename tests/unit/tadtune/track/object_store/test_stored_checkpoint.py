"""A checkpoint in a store: there with its manifest, or not there at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import Switch, contents, make_store

from tadtune.track.object_store.checkpoint import StoredCheckpoint


def _save(checkpoint: StoredCheckpoint, path: Path, data: bytes) -> None:
    path.write_bytes(data)
    checkpoint.stage(path)()


def test_the_manifest_names_the_bytes(tmp_path: Path) -> None:
    checkpoint = StoredCheckpoint(make_store(tmp_path / "store"))
    _save(checkpoint, tmp_path / "a.pt", b"weights")
    held = contents(tmp_path / "store")
    manifest = json.loads(held.pop("checkpoint/manifest.json"))
    assert manifest == {"object": manifest["object"], "size": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert held == {manifest["object"]: b"weights"}


def test_bytes_without_a_manifest_are_no_checkpoint(tmp_path: Path) -> None:
    checkpoint = StoredCheckpoint(make_store(tmp_path / "store"))
    (tmp_path / "a.pt").write_bytes(b"weights")
    count = checkpoint.stage(tmp_path / "a.pt")
    assert len(contents(tmp_path / "store")) == 1
    assert not checkpoint.load(tmp_path / "b.pt")
    count()
    assert checkpoint.load(tmp_path / "b.pt")
    assert (tmp_path / "b.pt").read_bytes() == b"weights"


def test_other_bytes_than_were_sent_are_refused_and_touch_nothing(tmp_path: Path) -> None:
    checkpoint = StoredCheckpoint(make_store(tmp_path / "store"))
    _save(checkpoint, tmp_path / "a.pt", b"weights")
    (held,) = (tmp_path / "store" / "checkpoint").glob("*.pt")
    held.write_bytes(b"weight")
    (tmp_path / "b.pt").write_bytes(b"older")
    with pytest.raises(OSError, match=r"checkpoint/[0-9a-f]{20}\.pt: not the 7 bytes that were sent"):
        checkpoint.load(tmp_path / "b.pt")
    assert (tmp_path / "b.pt").read_bytes() == b"older"
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["a.pt", "b.pt"]


def test_a_cut_at_any_request_leaves_the_old_or_the_new_one(tmp_path: Path) -> None:
    for requests in range(14):
        root, switch = tmp_path / str(requests), Switch()
        checkpoint = StoredCheckpoint(make_store(root / "store", switch))
        _save(checkpoint, root / "a.pt", b"old")
        switch.left = requests
        try:
            _save(checkpoint, root / "a.pt", b"newer")
            whole = True
        except OSError:
            whole = False
        switch.left, switch.away = None, False
        assert checkpoint.load(root / "b.pt")
        assert (root / "b.pt").read_bytes() in ((b"newer",) if whole else (b"old", b"newer"))
        _save(checkpoint, root / "a.pt", b"newest")
        assert len(list((root / "store" / "checkpoint").glob("[0-9a-f]*.pt"))) == 1


def test_the_same_bytes_are_not_sent_twice_and_not_fetched_twice(tmp_path: Path) -> None:
    switch = Switch()
    checkpoint = StoredCheckpoint(make_store(tmp_path / "store", switch))
    _save(checkpoint, tmp_path / "a.pt", b"weights")
    switch.asked.clear()
    _save(checkpoint, tmp_path / "a.pt", b"weights")
    checkpoint.load(tmp_path / "a.pt")
    assert switch.asked == ["open_input_file"] * 2  # the manifest


@given(saves=st.lists(st.binary(max_size=20), min_size=1, max_size=6))
def test_the_last_one_counts_and_is_alone(saves: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("checkpoint")
    checkpoint = StoredCheckpoint(make_store(root / "store"))
    for data in saves:
        _save(checkpoint, root / "a.pt", data)
    assert checkpoint.load(root / "b.pt")
    assert (root / "b.pt").read_bytes() == saves[-1]
    assert len(contents(root / "store")) == 2
    checkpoint.drop()
    assert contents(root / "store") == {}
    assert not checkpoint.load(root / "c.pt")
