"""Stage I, memory storage: one pass over the images, resumable, then clustering."""
