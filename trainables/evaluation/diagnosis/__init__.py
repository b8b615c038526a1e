"""Why a detector loses average precision: error types, sensitivity to characteristics, missed instances.

Source: Alwassel et al., "Diagnosing Error in Temporal Action Detectors", ECCV 2018 (DETAD), HumamAlwassel/DETAD.
"""
