"""Multi-action classification: what share of a random window each action fills, as a task for hosts of regions."""
