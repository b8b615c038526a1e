"""Checkpoints: replaced in one step, loadable with ``weights_only=True``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save_checkpoint(
    path: Path, epoch: int, weights: Mapping[str, Tensor], phase: str, optimizer: Mapping[str, Any] | None
) -> None:
    """Write a checkpoint beside the old one, then put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            torch.save({"epoch": epoch, "weights": dict(weights), "phase": phase, "optimizer": optimizer}, stream)
            stream.flush()
            os.fsync(stream.fileno())  # the name must not reach the disk before the content
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_checkpoint(path: Path, device: torch.device) -> tuple[int, dict[str, Tensor], str, dict[str, Any] | None]:
    """Epoch, weights, name of the phase, state of its optimiser."""
    state = torch.load(path, map_location=device, weights_only=True)
    return int(state["epoch"]), state["weights"], str(state["phase"]), state["optimizer"]
