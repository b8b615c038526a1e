"""Average precision of ranked items - detections, frames, videos - also for resampled videos, without matching again.

``matches`` is what matching leaves behind, ``average_precision`` and ``item_precision`` make AP of it, ``ranking`` has
the base classes of the protocols that do.
"""
