"""SlowFast_det from its configuration."""

from __future__ import annotations

from trainables.backbones.x3d import plan
from trainables.detectors.slowfast_det.config import Config
from trainables.detectors.slowfast_det.network import SlowFast, SlowStream
from trainables.detectors.x3d.weights import open_trunk


def build_network(config: Config, num_classes: int) -> SlowFast:
    """Both streams, from checkpoints where there are some.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: a checkpoint does not fit X3D of these sizes.
    """
    fast = open_trunk(config.backbone, config.fast.weights)
    source = open_trunk(config.backbone, config.slow.weights)
    state = source.state_dict()
    slow = SlowStream(
        plan(config.backbone.width, config.backbone.depth),
        ratio=config.ratio,
        res2_shortcut_bn="res2.0.shortcut_bn.weight" in state,
        recompute=config.backbone.recompute,
    )
    if config.slow.weights is not None:
        slow.take(state)
    return SlowFast(
        fast,
        slow,
        num_classes,
        fc1_channels=config.backbone.fc1,
        dropout=config.dropout,
        alpha=config.alpha,
        kernel=config.kernel_t,
        ratio=config.ratio,
    )
