"""Classification of whole clips by the actions they hold, beside any host with temporal features."""
