"""Cutting ``select`` from the training videos: by video, stratified by class, seeded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def stratified_subset(has_class: Mask, size: int, *, seed: int) -> Mask:
    """Choose videos so that every class has its share of them.

    Classes are served in turn, the one with the fewest videos left first; each of its videos goes to the side that
    still lacks more of that class. Videos without a class fill up the rest.

    Source: Sechidis et al. 2011, "On the stratification of multi-label data", iterative stratification with two
    subsets. Differs: the sizes are exact, because what one class took too much is carried over to the next.

    Args:
        has_class: (V, K) whether a video shows a class; several or none may be true.
        size: number of videos to choose.
        seed: of the order among equals.

    Returns:
        (V,) True = chosen, exactly ``size`` of them; where no video has two classes, each class is within one video
        of its share.

    Raises:
        ValueError: ``size`` is not between 0 and V.
    """
    num_videos = len(has_class)
    if not 0 <= size <= num_videos:
        raise ValueError(f"size: {size} of {num_videos} videos cannot be chosen")
    order = np.random.Generator(np.random.PCG64([3, seed, 0, 0])).permutation(num_videos)
    free = np.ones(num_videos, bool)
    chosen = np.zeros(num_videos, bool)
    share = size / max(num_videos, 1)
    # (side, class) how many more videos of a class a side lacks; side 1 is the chosen one
    wanted = np.outer([1.0 - share, share], has_class.sum(axis=0))
    room = np.array([num_videos - size, size])
    while free.any():
        left = has_class[free].sum(axis=0)
        members, lack = free, room.astype(np.float64)
        if left.any():
            label = int(np.argmin(np.where(left > 0, left, num_videos + 1)))
            members = free & has_class[:, label]
            carried = room[1] - share * free.sum()
            lack = wanted[:, label] + np.array([-carried, carried])
        for video in order[members[order]]:
            side = int(lack[1] > lack[0])
            if room[side] == 0:
                side = 1 - side
            room[side] -= 1
            lack[side] -= 1.0
            wanted[side] -= has_class[video]
            free[video], chosen[video] = False, side == 1
    return chosen
