"""Transfer from trimmed clips by maximum mean discrepancy, as an auxiliary task for hosts with temporal features."""
