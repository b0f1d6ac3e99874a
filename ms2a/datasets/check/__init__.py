"""One check of a set of annotated pictures, before anything reads the set."""
