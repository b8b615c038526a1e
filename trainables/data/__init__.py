"""Data sets: one Arrow schema for videos, segments and features; everything else reads into it or builds on it.

``readers`` take published annotations, ``feature_files`` brings features into a store. The data sets that detectors
train on are ``features`` (a store) and ``frames`` (a folder of videos); ``synthetic`` and ``stitched`` make some up.
``batches`` is what the two kinds share, ``video`` decodes. The modules here are for all of them.
"""
