"""What detectors that answer with scores of frames share: settings, losses, and frame scores of whole videos.

No detector by itself: a network gives logits of every frame, :class:`.model.FrameLevelDetector` makes a detector of it.
"""
