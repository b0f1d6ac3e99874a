"""Stage II: source and target mixed, CopyPaste between the domains, Mosaic within one."""

_base_ = "./single_domain.py"

affine_scale = (0.5, 2)
source_times = 1
target_times = 10
# Or so many images an epoch, whatever the size of the data set; 0 leaves the domain out.
source_samples = None
target_samples = None

# Share of the training images, of both domains, that take on colours of the target's memory; then colour_file is the
# memory of num_colours clusters that extract_fea_fewshot.py --prototype colour and knn_cuda.py made.
colour_prob = 0.0
num_colours = 20
colour_domain = "${target_domain}"
colour_file = None  # MEMORY_DIR/DOMAIN_colour_cluster.pth, unless named here
colour_prototypes = "stored"
coloured_pipeline = [
    "${load_image}",
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="MemoryColour", file="${colour_file}", prob="${colour_prob}", prototypes="${colour_prototypes}"),
]
source_pipeline = coloured_pipeline
target_pipeline = coloured_pipeline

data = dict(
    train=dict(
        _delete_=True,
        type="CrossDomainMixDataset",
        domains=[
            dict(dataset="${source_train}", times="${source_times}", samples="${source_samples}"),
            dict(dataset="${target_train}", times="${target_times}", samples="${target_samples}"),
        ],
        pipeline=[
            dict(type="CrossDomainCopyPaste"),
            dict(type="SameDomainMosaic", img_scale="${img_scale}", pad_val=114.0),
            dict(type="RandomAffine", scaling_ratio_range="${affine_scale}", border="${mosaic_border}"),
            dict(type="HSVShift"),
            dict(type="RandomFlip", flip_ratio=0.5),
            dict(type="FitResize", img_scale="${img_scale}"),
            "${fixed_pad}",
            dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
            dict(type="DefaultFormatBundle", img_to_float=False),
            dict(type="Collect", keys=["img", "gt_bboxes", "gt_labels"], meta_keys="${meta_keys}"),
        ],
    )
)
