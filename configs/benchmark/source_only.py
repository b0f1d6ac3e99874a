"""Baseline: the base detector as it is."""

_base_ = "./joint.py"

benchmark = dict(title="source only", fixed=True)
max_epochs = 0  # tested without training
