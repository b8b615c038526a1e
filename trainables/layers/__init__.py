"""Building blocks that know no detector: pure functions and small modules on tensors."""
