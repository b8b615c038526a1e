"""Splits by the subsets of a published data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.data.annotations import AnnotationSet
from trainables.data.splits import stratified_subset


def subset_splits(
    annotations: AnnotationSet, *, train: Sequence[str], test: Sequence[str], num_select: int, seed: int
) -> dict[str, str]:
    """Splits by the data set's own subsets, with ``select`` cut from the training videos by class.

    Args:
        annotations: videos and their labels; ambiguous segments do not count as labels.
        train: subsets that are trained on.
        test: subsets that are scored at the end.
        num_select: videos cut from the training ones.
        seed: of that cut.

    Returns:
        Video id -> split; videos of other subsets have none.

    Raises:
        ValueError: a subset that the annotation does not have, or that is in both.
    """
    known = sorted({video.subset for video in annotations.videos})
    for subset in (*train, *test):
        if subset not in known:
            raise ValueError(f"subset '{subset}' is none of {', '.join(known)}")
    both = sorted(set(train) & set(test))
    if both:
        raise ValueError(f"subset '{both[0]}' is to be trained on and tested on")
    own = [video for video in annotations.videos if video.subset in train]
    has_class = np.zeros((len(own), len(annotations.class_names)), bool)
    for row, video in zip(has_class, own, strict=True):
        row[[segment.label for segment in video.segments if not segment.ambiguous]] = True
    chosen = stratified_subset(has_class, num_select, seed=seed)
    splits = {v.video_id: "select" if c else "train" for v, c in zip(own, chosen.tolist(), strict=True)}
    return splits | {video.video_id: "test" for video in annotations.videos if video.subset in test}
