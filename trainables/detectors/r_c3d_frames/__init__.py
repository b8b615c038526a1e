"""R-C3D end to end: C3D on frames, then the proposals and regions of `r_c3d`."""
