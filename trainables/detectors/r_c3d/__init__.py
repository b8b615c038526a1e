"""R-C3D on pre-extracted features; `r_c3d_frames` is the same detector on frames."""
