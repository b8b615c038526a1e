"""Class logits corrected by what multi-action classification says about windows around a region."""
