"""Small networks and batches for the tests of SP-TAD."""

from __future__ import annotations

import torch

from trainables.detectors.sp_tad.config import Config
from trainables.detectors.sp_tad.model import SpTad
from trainables.detectors.sp_tad.settings import Head, Soi
from trainables.records import Batch, SegmentTargets

SMALL = Config(
    num_heads=3,
    num_proposals=7,
    width=16,
    soi=Soi(resolution=4),
    head=Head(attention_heads=2, dim_dynamic=4, ffn=24),
    proposal_init="grid",
)
#: (start, end, class) of each input, in samples.
INSTANCES = (((4.0, 12.0, 0), (14.0, 30.0, 2)), ((2.0, 9.5, 1),))


def network(config: Config = SMALL) -> SpTad:
    torch.manual_seed(0)
    model = config.build(feat_dim=5, num_classes=3)
    assert isinstance(model, SpTad)
    return model


def batch(instances: tuple[tuple[tuple[float, float, int], ...], ...] = INSTANCES, valid: int = 26) -> Batch:
    """Two inputs of 32 samples, the second with ``valid`` real ones."""
    mask = torch.arange(32).expand(2, 32) < torch.tensor([[32], [valid]])
    return Batch(
        video_ids=("a", "b"),
        valid_mask=mask,
        seconds_per_sample=torch.full((2,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(2, dtype=torch.float64),
        feats=torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1)) * mask[:, None],
        segments=tuple(
            SegmentTargets(
                torch.tensor([row[:2] for row in rows]).reshape(-1, 2),
                torch.tensor([row[2] for row in rows], dtype=torch.long),
            )
            for rows in instances
        ),
    )
