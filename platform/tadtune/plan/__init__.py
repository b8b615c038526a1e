"""Studies into trials: identity, order, cost, and what differences a plan can resolve."""
