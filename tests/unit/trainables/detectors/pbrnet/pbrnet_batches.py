"""Small networks and batches for the tests of PBRNet."""

from __future__ import annotations

from dataclasses import replace

import torch

from trainables.detectors.pbrnet.config import Config
from trainables.detectors.pbrnet.model import PbrNet
from trainables.detectors.pbrnet.settings import Match, Net
from trainables.records import Batch, SegmentTargets

SMALL = Config(net=Net(width=8, roi_width=6), roi_parts=2)
#: (start, end, class) of each input, in samples.
INSTANCES = (((4.0, 12.0, 0), (14.0, 30.0, 2)), ((2.0, 9.5, 1),))


def network(config: Config = SMALL) -> PbrNet:
    torch.manual_seed(0)
    model = config.build(feat_dim=5, num_classes=3)
    assert isinstance(model, PbrNet)
    return model


def batch(instances: tuple[tuple[tuple[float, float, int], ...], ...] = INSTANCES, valid: int = 26) -> Batch:
    """Two inputs of 32 samples, the second with ``valid`` real ones."""
    mask = torch.arange(32).expand(2, 32) < torch.tensor([[32], [valid]])
    feats = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1)) * mask[:, None]
    return Batch(
        video_ids=("a", "b"),
        valid_mask=mask,
        seconds_per_sample=torch.full((2,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(2, dtype=torch.float64),
        feats=feats,
        segments=tuple(
            SegmentTargets(
                torch.tensor([row[:2] for row in rows]).reshape(-1, 2),
                torch.tensor([row[2] for row in rows], dtype=torch.long),
            )
            for rows in instances
        ),
    )


#: So low that every step of an untrained network has positives.
LENIENT = Match(cpd_tiou=0.1, rpd_tiou=0.1, fgd_tiou=0.1)


def lenient() -> PbrNet:
    """A network in training mode whose steps all have positives."""
    return network(replace(SMALL, match=LENIENT)).train()
