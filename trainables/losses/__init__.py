"""Losses that know no detector: named terms, unweighted."""
