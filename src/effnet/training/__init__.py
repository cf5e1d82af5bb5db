"""Training: optimizer, schedule, loop, and the run from data to model file."""
