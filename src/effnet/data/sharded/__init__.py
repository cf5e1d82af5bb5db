"""Sets of shards of our own: written, checked, and read from a disk or from any store of files."""
