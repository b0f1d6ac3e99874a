"""Baseline: the base detector trained on with the few target images alone."""

_base_ = "./joint.py"

benchmark = dict(title="target only")
source_samples = 0
target_samples = 640
