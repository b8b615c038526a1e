"""Published sets of anchor lengths, in cells of the shared map (8 frames of C3D). Imports no torch."""

from __future__ import annotations

#: paper: Three Birds 4.1 to 4.3 and R-C3D (Xu et al. 2017); release: VisionLearningGroup/R-C3D:experiments, whose
#: author recommends them.
ANCHOR_SCALES: dict[str, tuple[float, ...]] = {
    "thumos14_paper": (2, 4, 5, 6, 8, 9, 10, 12, 14, 16),
    "thumos14_release": tuple(range(2, 57, 2)),
    "activitynet_paper": (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64),
    "activitynet_release": (
        *(1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 22, 24, 28, 32),
        *(36, 40, 44, 52, 60, 68, 76, 84, 92, 100),
    ),
    "charades": (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48),
}
