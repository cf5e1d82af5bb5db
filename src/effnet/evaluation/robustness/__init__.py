"""A network under other conditions than it was trained for: corruptions, sizes, several views, in company."""
