"""PBRNet: segments from anchors in three cascaded steps, coarse pyramid, refined pyramid, single frames."""
