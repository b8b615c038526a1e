"""Detectors, one folder each: ``config.py`` (no torch), ``model.py`` and what only that detector needs."""
