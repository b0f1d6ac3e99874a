"""Compared methods over tasks and seeds, and the generated data; the method needs none of it."""
