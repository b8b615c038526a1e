"""Studies in an object store: a local copy, and what keeps the two alike."""
