"""Video networks that turn frames into features, their public checkpoints, and their preprocessing."""
