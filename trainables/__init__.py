"""Detectors, auxiliary tasks, data and evaluation for temporal action detection."""
