"""Two or more models on the same images: who is better, where they differ, at what cost."""
