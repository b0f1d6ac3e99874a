"""Your own data: give domain names, classes, folders and annotation files here or in a leaf of your own."""

data_roots = dict(source="data/source", target="data/target")
source_domain = "source"
target_domain = "target"
classes = ("object",)
num_classes = len(classes)

source_train = dict(
    type="DomainCocoDataset",
    domain="${source_domain}",
    classes="${classes}",
    data_root="${data_roots.source}",
    ann_file="train.json",
    img_prefix="images",
    filter_empty_gt=False,
    pipeline="${source_pipeline}",
)
target_train = dict(
    type="DomainCocoDataset",
    domain="${target_domain}",
    classes="${classes}",
    data_root="${data_roots.target}",
    ann_file="annotated.json",
    img_prefix="images",
    filter_empty_gt=False,
    pipeline="${target_pipeline}",
)
source_val = dict(
    type="DomainCocoDataset",
    domain="${source_domain}",
    classes="${classes}",
    data_root="${data_roots.source}",
    ann_file="val.json",
    img_prefix="images",
)
target_test = dict(
    type="DomainCocoDataset",
    domain="${target_domain}",
    classes="${classes}",
    data_root="${data_roots.target}",
    ann_file="test.json",
    img_prefix="images",
)
test_sets = ["${target_test}", "${source_val}"]  # the target comes first

unlabelled_images = dict(img="${data_roots.target}/unlabelled")
# Stage I: the images it reads (a folder, or a COCO file and its image folder; labels are not used) and what it
# writes with the detector of the base training.
memory_images = dict(
    source=dict(img="${data_roots.source}/train.json", img_root="${data_roots.source}/images"),
    target="${unlabelled_images}",
)
memory_dir = "work_dirs/yolox_fs_n_custom_base/memory"
memory_files = dict()  # MEMORY_DIR/DOMAIN_cluster.pth, unless named here
