"""Charades' own scores: the ``official`` ones of frames and of videos, and those of ``detections`` at its 25 points."""
