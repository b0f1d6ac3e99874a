"""Baseline: joint, features that a classifier cannot tell apart by domain."""

_base_ = "./joint.py"

benchmark = dict(title="joint + adversarial")
model = dict(
    alignment=[dict(loss=dict(type="DomainAdversarialLoss", in_channels="${channels}", loss_weight=0.1), on="neck")]
)
