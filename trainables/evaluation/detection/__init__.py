"""Detections and proposals held against annotated segments by tIoU.

``protocols`` has the public evaluators of detection mAP, ``proposal_recall`` AR@AN; the rest is how detections and
segments are aligned, grouped and matched.
"""
