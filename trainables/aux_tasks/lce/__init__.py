"""Localisation confidence: how sure a region's boundaries are, as a task for hosts of regions."""
