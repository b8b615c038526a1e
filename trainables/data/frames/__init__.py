"""The data set of frames: ``folder`` is annotated videos on disk, ``dataset`` and ``loader`` make batches of them."""
