"""Datasets, transforms and few-annotation splits, in mmdet's registries; the generated benchmark."""
