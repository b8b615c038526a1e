"""CleanNet: weakly supervised detection, boundaries regressed under a contrast score of segments."""
