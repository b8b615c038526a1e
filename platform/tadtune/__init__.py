"""The engine: studies, trials, search, tracking and reports. Finds what it runs through entry points."""
