"""SP-TAD: sparse proposals that are refined stage by stage (Wu et al. 2021)."""
