"""PBRNet end to end: I3D on frames, then the three steps of `pbrnet`."""
