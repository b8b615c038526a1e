"""Volume augmentations as auxiliary tasks: Volume Freeze, Volume MixUp, Volume CutMix, and several of them jointly."""
