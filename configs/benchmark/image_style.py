"""Baseline: joint, four of five source images in the colours of an unlabelled target image."""

_base_ = "./joint.py"

benchmark = dict(title="joint + image style")
source_pipeline = [
    "${load_image}",
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="TargetStyle", img="${unlabelled_images.img}", prob=0.8, bit_depth="${bit_depth}"),
]
