"""Multi-dilated class evidence as an auxiliary task for any host with temporal features."""
