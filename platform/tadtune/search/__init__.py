"""Samplers and early stopping behind one interface; Ray Tune sees only the adapters."""
