"""Classification and attention of snippets, learned from video labels, beside any host with temporal features."""
