"""A checkpoint is the old or the new one, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from trainables.entrypoints.checkpoint import load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


def save(path: Path, epoch: int) -> None:
    save_checkpoint(path, epoch, {"w": torch.full((1000,), float(epoch))}, "only", None)


def epoch_of(path: Path) -> int:
    epoch, weights, phase, optimizer = load_checkpoint(path, CPU)
    assert torch.equal(weights["w"], torch.full((1000,), float(epoch)))
    assert (phase, optimizer) == ("only", None)
    return epoch


def test_a_later_one_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "checkpoint.pt"
    for epoch in (1, 2):
        save(path, epoch)
        assert epoch_of(path) == epoch
        assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]


def half(state: Mapping[str, Any], stream: BinaryIO) -> None:
    stream.write(b"PK\x03\x04" * 100)
    stream.flush()


def test_one_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(state: Mapping[str, Any], stream: BinaryIO) -> None:
        half(state, stream)
        raise OSError(28, "No space left on device")

    path = tmp_path / "checkpoint.pt"
    save(path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space left"):
            save(path, 2)
    assert epoch_of(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_process_killed_half_way_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(state: Mapping[str, Any], stream: BinaryIO) -> None:
        half(state, stream)
        os.kill(os.getpid(), signal.SIGKILL)

    path = tmp_path / "checkpoint.pt"
    save(path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        child = os.fork()
        if child == 0:
            save(path, 2)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert epoch_of(path) == 1
    save(path, 3)
    assert epoch_of(path) == 3
