"""Baseline: joint, and as many pseudo-labels as annotated images hold objects; doubtful places are painted over."""

_base_ = "./mean_teacher.py"

benchmark = dict(title="joint + mean teacher, matched thresholds")
model = dict(self_training=dict(score_thr=0.2, doubt_thr=0.1, match=0.8))
