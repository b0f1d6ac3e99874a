"""One check of a set of pictures, annotated or not, before anything reads the set."""
