"""Baseline: joint in the target's colours, and pseudo-labels of a mean teacher with matched thresholds."""

_base_ = "./mean_teacher_matched.py"

benchmark = dict(title="joint + image style + mean teacher, matched thresholds")
source_pipeline = [
    "${load_image}",
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="TargetStyle", img="${unlabelled_images.img}", prob=0.8, bit_depth="${bit_depth}"),
]
