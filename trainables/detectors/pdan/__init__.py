"""PDAN (Dai et al. 2021): per-frame classes through a pyramid of dilated attention layers."""
