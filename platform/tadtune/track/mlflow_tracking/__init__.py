"""MLflow: its server and data base, the runs of a study in it, and what carries the records there."""
