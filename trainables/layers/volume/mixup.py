"""Volume MixUp: one clip fades into another."""

from __future__ import annotations

from trainables.layers.volume.clips import Clips
from trainables.layers.volume.placement import Placement, Variant, blend, crossfade, laid


def volume_mixup(
    first: Clips,
    second: Clips,
    placement: Placement,
    *,
    width: int,
    variant: Variant = "paper",
    gamma: float = 1.0,
    shift_content: bool = True,
) -> Clips:
    """Cross-fade pairs of clips; labels have the weights of the frames.

    Source: SSDet, Volume MixUp.

    Args:
        first: clip 1 of each pair.
        second: clip 2.
        placement: where they lie on the axis of time.
        width: T of the result, at least ``placement.end``; what is behind that is 0.
        variant: of the ramp.
        gamma: bends the ramp.
        shift_content: clip 2 begins with its own first frame ("release": it keeps its own time).

    Raises:
        ValueError: see :meth:`Placement.check`.
    """
    one, two = laid(first, second, placement, width, shift_content=shift_content)
    return blend(one, two, crossfade(placement, width, variant, gamma=gamma), placement)
