"""The detector, its head, the memory adapter, the foreground branch and the alignment losses, in mmdet's registries."""
