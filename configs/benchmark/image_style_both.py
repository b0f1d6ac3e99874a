"""Baseline: joint, four of five images of both domains in the colours of an unlabelled target image."""

_base_ = "./image_style.py"

benchmark = dict(title="joint + image style in both domains")
target_pipeline = "${source_pipeline}"
