"""UntrimmedNet: snippet classification with attention, learned from video labels; detection by a threshold."""
