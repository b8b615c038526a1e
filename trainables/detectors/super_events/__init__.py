"""Super-events (Piergiovanni and Ryoo 2018): per-frame classes from the frame and from the whole video."""
