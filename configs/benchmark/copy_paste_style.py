"""Baseline: joint, with CopyPaste between the domains and source images in the target's colours."""

_base_ = "./image_style.py"

benchmark = dict(title="joint + CopyPaste + image style")
data = dict(train=dict(skip_type_keys=None))
