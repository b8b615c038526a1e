"""The outer-inner-contrastive loss as an auxiliary task for hosts whose segments carry gradient."""
