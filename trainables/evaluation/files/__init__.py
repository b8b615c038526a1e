"""Files of predictions, in the forms that we and other tools write.

``detections``, ``proposals``, ``frame_scores``, ``frame_labels`` and ``video_scores`` read each kind in any of its
forms; the other modules know one form each.
"""
