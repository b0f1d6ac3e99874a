"""Baseline: joint, features aligned by maximum mean discrepancy."""

_base_ = "./joint.py"

benchmark = dict(title="joint + MMD")
model = dict(alignment=[dict(loss=dict(type="MMDLoss", loss_weight=0.5), on="neck")])
