"""Other libraries' weights as whole model files."""
