"""Classes of whole videos: top-k and mAP as ActivityNet classifies (``classification``), and ``multilabel_map``."""
