"""Volume augmentations: clips frozen, cross-faded or cut together, with labels of every frame that follow.

Source: Kahatapitiya et al. 2023, "Weakly-Guided Self-Supervised Pretraining for Temporal Activity Detection" (SSDet),
and kkahatapitiya/SSDet. Where the two differ, ``variant`` is "paper" or "release".

``clips`` is what goes in and comes out; ``freeze``, ``mixup`` and ``cutmix`` are the pure augmentations, with explicit
parameters; ``settings`` says how these are drawn, ``draw`` draws them for a batch as a ``plan``, which is data, and
``apply`` carries a plan out.

Letters: B clips, C channels, T frames, H rows, W columns, K columns of labels, P parts of a mixed clip, S segments.
"""
