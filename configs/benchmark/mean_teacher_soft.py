"""Baseline: joint, and a mean teacher whose objectness is the label where its boxes are not believed."""

_base_ = "./mean_teacher_matched.py"

benchmark = dict(title="joint + mean teacher, soft labels")
model = dict(self_training=dict(doubt_thr=None, soft=True))
