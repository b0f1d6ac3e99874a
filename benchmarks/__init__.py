"""One script for each claim of speed or memory; ``make bench`` runs them all."""
