"""Studies as jobs of a Ray cluster that is somewhere else: submit, follow, list, stop."""
