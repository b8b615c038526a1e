"""Two X3D streams at two frame rates with lateral connections, one answer a frame."""
