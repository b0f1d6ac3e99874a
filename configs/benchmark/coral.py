"""Baseline: joint, covariances of the features aligned."""

_base_ = "./joint.py"

benchmark = dict(title="joint + CORAL")
model = dict(alignment=[dict(loss=dict(type="CORALLoss", loss_weight=1.0), on="neck")])
