"""Budget: the largest network within limits, measured on this machine (paper, equation 2)."""
