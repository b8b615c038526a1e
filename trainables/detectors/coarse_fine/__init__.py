"""Coarse-Fine networks: a stream that samples time by itself, fed by one that sees every frame."""
