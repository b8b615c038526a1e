"""Classes of single frames: scores of all classes (``frame_map``), or one class a frame (``segmentation``).

``scores``, ``sequences`` and ``labels`` are the predictions and what the annotation says of each frame.
"""
