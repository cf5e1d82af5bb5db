"""Search: which coefficients suit these data (paper, section 3.3, step 1)."""
