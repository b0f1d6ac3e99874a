"""A page to try a trained detector on: one machine, no network."""
