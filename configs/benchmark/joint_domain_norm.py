"""Baseline: joint, each domain with batch norms of its own."""

_base_ = "./joint.py"

benchmark = dict(title="joint, batch norms of each domain", kind="baseline")
norm = dict(type="DomainBN", domains=["${source_domain}", "${target_domain}"], momentum=0.03, eps=0.001)
model = dict(backbone=dict(norm_cfg="${norm}"), neck=dict(norm_cfg="${norm}"), bbox_head=dict(norm_cfg="${norm}"))
