"""Frames of video files: decoded in a process that can be killed, by frame number or time, as (T, H, W, 3) uint8."""
