"""MS2A that starts at the base detector, with images of both domains in the colours of the target's memory."""

_base_ = "./ms2a_zero_init.py"

title = "MS2A, zero init + memory colour"
num_colours = 20
colour_file = "${memory_dir}/${target_domain}_colour_cluster.pth"
colour_prototypes = "stored"
recoloured = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="MemoryColour", file="${colour_file}", prob=0.8, prototypes="${colour_prototypes}"),
]
source_pipeline = "${recoloured}"
target_pipeline = "${recoloured}"
