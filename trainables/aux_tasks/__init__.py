"""Auxiliary tasks, one folder each: ``config.py`` (no torch) and the modules it builds."""
