"""Files written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.files import replacing


@pytest.mark.parametrize("old", [None, "old"])
def test_the_name_has_the_new_content_only_when_the_block_has_ended(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "scores.json"
    if old is not None:
        path.write_text(old)
    with replacing(path) as scratch:
        scratch.write_text("new")
        assert (path.read_text() if path.exists() else None) == old
        # what a killed process leaves is hidden, and found by its ending
        assert list(tmp_path.glob(".*.partial")) == [scratch]
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises(OSError, match="no space left"), replacing(path) as scratch:
        scratch.write_text("ne")
        raise OSError("no space left")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    with replacing(path) as slow:
        slow.write_text("slow")
        with replacing(path) as fast:
            fast.write_text("fast")
        assert path.read_text() == "fast"
    assert path.read_text() == "slow"
    assert list(tmp_path.iterdir()) == [path]
