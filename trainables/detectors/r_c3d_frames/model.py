"""R-C3D on C3D, from a public checkpoint where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from trainables.backbones.c3d import C3D
from trainables.backbones.layouts import C3D_LAYOUTS
from trainables.backbones.weights import load_checkpoint, read_checkpoint
from trainables.detectors.r_c3d.heads import RoiTrunk
from trainables.detectors.r_c3d.model import RC3D
from trainables.detectors.r_c3d_frames.backbone import C3DMap
from trainables.detectors.r_c3d_frames.config import Backbone


def build(*, backbone: Backbone, **parts: Any) -> RC3D:
    """The network; ``parts`` are those of :class:`trainables.detectors.r_c3d.model.RC3D`.

    Raises:
        FileNotFoundError: no file of weights.
        ValueError: the file does not fit C3D.
    """
    shared_map = C3DMap(recompute=backbone.recompute, precision=backbone.precision)
    detector = RC3D(shared_map=shared_map, **parts)
    if backbone.weights is not None:
        load_weights(Path(backbone.weights), shared_map.c3d, detector.trunk)
    return detector


def load_weights(path: Path, convolutions: C3D, trunk: RoiTrunk) -> tuple[str, ...]:
    """Copy a checkpoint's convolutions, and its fc6 and fc7 where the trunk has a layer of their shape.

    Returns:
        Names of the trunk's layers that were filled.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it does not fit C3D.
    """
    checkpoint = read_checkpoint(path, C3D_LAYOUTS)
    has_trunk = any(checkpoint.layout.rename(key) == "fc7.weight" for key in checkpoint.state)
    whole = C3D(fc=has_trunk)
    load_checkpoint(whole, checkpoint)
    convolutions.load_state_dict({k: v for k, v in whole.state_dict().items() if k.startswith("conv")})
    filled = []
    for name, layer in trunk.named_children():
        source = getattr(whole, name, None)
        if isinstance(source, nn.Linear) and isinstance(layer, nn.Linear) and source.weight.shape == layer.weight.shape:
            layer.load_state_dict(source.state_dict())
            filled.append(name)
    return tuple(filled)
