"""SP-TAD end to end: I3D on frames, then the pyramid and the stages of `sp_tad`."""
