"""Sizing: which network for these data, on this machine, within this budget; search, budget, study."""
