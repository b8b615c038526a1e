"""Untrimmed videos joined from real trimmed clips, with boundaries that are exactly known.

``plan`` says which clips go where; ``features`` joins ``feature_clips`` into a store, ``videos`` joins ``video_clips``
into video files.
"""
