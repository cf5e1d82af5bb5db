"""Networks as torch modules, built from a spec."""
