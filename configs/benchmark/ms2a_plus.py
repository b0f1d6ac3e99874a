"""MS2A that starts at the base detector, with source images in the target's colours and memory-guided style."""

_base_ = "./ms2a_style.py"

benchmark = dict(title="MS2A plus: zero init, memory style, image style")
source_pipeline = [
    "${load_image}",
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="TargetStyle", img="${unlabelled_images.img}", prob=0.8, bit_depth="${bit_depth}"),
]
