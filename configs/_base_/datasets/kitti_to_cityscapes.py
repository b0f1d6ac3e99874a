"""Task K→C: KITTI to Cityscapes, cars. Where the files come from: docs/data.md."""

data_roots = dict(kitti="data/kitti", cityscapes="data/cityscapes")
source_domain = "kitti"
target_domain = "cityscapes"
classes = ("car",)
num_classes = len(classes)

num_annotated = 8  # annotated target images
split_seed = 0  # which draw of them

source_train = dict(
    type="DomainCocoDataset",
    domain="kitti",
    classes="${classes}",
    data_root="${data_roots.kitti}",
    ann_file="annotations/train.json",
    img_prefix="images",
    filter_empty_gt=False,
    pipeline="${source_pipeline}",
)
target_train = dict(
    type="DomainCocoDataset",
    domain="cityscapes",
    classes="${classes}",
    data_root="${data_roots.cityscapes}",
    ann_file="annotations/split${split_seed}_${num_annotated}.json",
    img_prefix="leftImg8bit/train",
    filter_empty_gt=False,
    pipeline="${target_pipeline}",
)
source_val = dict(
    type="DomainCocoDataset",
    domain="kitti",
    classes="${classes}",
    data_root="${data_roots.kitti}",
    ann_file="annotations/val.json",
    img_prefix="images",
)
target_test = dict(
    type="DomainCocoDataset",
    domain="cityscapes",
    classes="${classes}",
    data_root="${data_roots.cityscapes}",
    ann_file="annotations/instancesonly_filtered_gtFine_val.json",
    img_prefix="leftImg8bit/val",
)
test_sets = ["${target_test}", "${source_val}"]  # the target comes first

# Stage I: the images it reads (a folder, or a COCO file and its image folder; labels are not used) and what it
# writes with the detector of the base training.
memory_images = dict(
    kitti=dict(img="${data_roots.kitti}/annotations/train.json", img_root="${data_roots.kitti}/images"),
    cityscapes=dict(img="${data_roots.cityscapes}/leftImg8bit/train"),
)
memory_dir = "work_dirs/yolox_fs_x_640x640_50e_kitti_base/memory"
memory_files = dict()  # MEMORY_DIR/DOMAIN_cluster.pth, unless named here
