"""Data sets: one Arrow schema for videos, segments and features; everything else reads into it or builds on it."""
