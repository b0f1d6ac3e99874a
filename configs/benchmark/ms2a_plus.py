"""MS2A that starts at the base detector, with a mean teacher and source images in the target's colours."""

_base_ = "./ms2a_mean_teacher.py"

title = "MS2A, zero init + mean teacher + style"
zero_init = True
source_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="TargetStyle", img="${unlabelled_images.img}", prob=0.5),
]
