"""Trained networks that come with the package, by name, each with a card."""
