"""Base stage: the source alone, with Mosaic, affine and MixUp. Evaluated on the target(s) first, then on the source.

The images come from a task file beside this one, their size from an input_*.py.
"""

workers_per_gpu = 4
affine_scale = (0.1, 2)
affine_border = "${mosaic_border}"  # (0, 0) where Mosaic is left out
batch_size = 1

# Significant bits of 16-bit pictures, e.g. 10 or 12; None: all 16. Pictures of 8 bits are what they are.
bit_depth = None
# Mosaic brings each image into the frame anyway. Where it is left out:
# load_image = dict(_delete_=True, type="LoadPicture", bit_depth="${bit_depth}").
load_image = dict(type="LoadReducedImage", img_scale="${img_scale}", bit_depth="${bit_depth}")
load_pipeline = ["${load_image}", dict(type="LoadAnnotations", with_bbox=True)]
# Of the training images of each side.
source_pipeline = load_pipeline
target_pipeline = load_pipeline
# mmdet's own keys and the name of the image's domain.
meta_keys = (
    "filename",
    "ori_filename",
    "ori_shape",
    "img_shape",
    "pad_shape",
    "scale_factor",
    "flip",
    "flip_direction",
    "img_norm_cfg",
    "domain",
)
fixed_pad = dict(type="Pad", size="${img_scale}", pad_val=dict(img=(114.0, 114.0, 114.0)))
# How the images that are tested are padded: "frame": to img_scale, as in training; "multiple": each to the next
# multiple of 32 pixels only. Training and Stage I need one size: for wide images give all of it by image_size=320,640.
test_padding = "frame"
test_pads = dict(
    frame="${fixed_pad}",
    multiple=dict(type="Pad", size_divisor=32, pad_val=dict(img=(114.0, 114.0, 114.0))),
)
test_pipeline = [
    dict(type="LoadPicture", bit_depth="${bit_depth}"),
    dict(
        type="MultiScaleFlipAug",
        img_scale="${img_scale}",
        flip=False,
        transforms=[
            dict(type="FitResize"),
            dict(type="RandomFlip"),
            "${test_pads.${test_padding}}",
            dict(type="DefaultFormatBundle"),
            dict(type="Collect", keys=["img"], meta_keys=meta_keys),
        ],
    ),
]
data = dict(
    samples_per_gpu="${batch_size}",
    workers_per_gpu="${workers_per_gpu}",
    persistent_workers=False,
    val_dataloader=dict(samples_per_gpu="${test_batch_size}"),
    test_dataloader=dict(samples_per_gpu="${test_batch_size}"),
    train=dict(
        type="MultiImageMixDataset",
        dataset="${source_train}",
        pipeline=[
            dict(type="Mosaic", img_scale="${img_scale}", pad_val=114.0),
            dict(type="RandomAffine", scaling_ratio_range="${affine_scale}", border="${affine_border}"),
            dict(type="MixUp", img_scale="${img_scale}", ratio_range=(0.8, 1.6), pad_val=114),
            dict(type="HSVShift"),
            dict(type="RandomFlip", flip_ratio=0.5),
            dict(type="FitResize", img_scale="${img_scale}"),
            fixed_pad,
            dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
            dict(type="DefaultFormatBundle", img_to_float=False),
            dict(type="Collect", keys=["img", "gt_bboxes", "gt_labels"], meta_keys=meta_keys),
        ],
    ),
    val=dict(type="DomainConcatDataset", datasets="${test_sets}", pipeline="${test_pipeline}"),
    test=dict(type="DomainConcatDataset", datasets="${test_sets}", pipeline="${test_pipeline}"),
)
