"""How good a network is, and the pictures that show it."""
