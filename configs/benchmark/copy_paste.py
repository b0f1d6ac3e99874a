"""Baseline: joint, objects pasted from one domain's images into the other's."""

_base_ = "./joint.py"

benchmark = dict(title="joint + CopyPaste")
data = dict(train=dict(skip_type_keys=None))
