"""X3D with one answer a frame, and what detectors built on it share."""
