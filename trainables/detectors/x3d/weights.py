"""X3D from a checkpoint: a public one, or that of a trial of the detector `x3d`."""

from __future__ import annotations

from pathlib import Path

from trainables.backbones.layouts import X3D_LAYOUTS, normalises_res2
from trainables.backbones.weights import load_checkpoint, read_checkpoint
from trainables.backbones.x3d import X3D
from trainables.detectors.x3d.settings import Backbone


def open_x3d(settings: Backbone, weights: str | None) -> X3D:
    """The network up to fc1; a classifier in the file is left out.

    Args:
        settings: its sizes.
        weights: file, None = random weights.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file does not fit.
    """
    checkpoint = None if weights is None else read_checkpoint(Path(weights), X3D_LAYOUTS)
    network = X3D(
        width=settings.width,
        depth=settings.depth,
        fc1_channels=settings.fc1,
        res2_shortcut_bn=checkpoint is None or normalises_res2(checkpoint),
        recompute=settings.recompute,
    )
    if checkpoint is not None:
        load_checkpoint(network, checkpoint)
    return network


def open_trunk(settings: Backbone, weights: str | None) -> X3D:
    """The same without fc1."""
    network = open_x3d(settings, weights)
    del network.fc1
    del network.endpoints["fc1"]
    return network
