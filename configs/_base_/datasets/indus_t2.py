"""Industrial data set, S to T2, one class."""

_base_ = "./indus_s.py"

target_domain = "indus_t2"
num_annotated = 10  # annotated target images: 10, 30 or 50
split_seed = 0  # which draw of them

target_train = dict(
    type="DomainCocoDataset",
    domain="indus_t2",
    classes="${classes}",
    data_root="${data_roots.indus}",
    ann_file="T2/annotations/split${split_seed}_${num_annotated}.json",
    img_prefix="T2/images",
    filter_empty_gt=False,
    pipeline="${target_pipeline}",
)
test_sets = ["${t2_test}", "${source_val}"]  # the target comes first

# Stage I: the images it reads (a folder, or a COCO file and its image folder; labels are not used) and what it
# writes with the detector of the base training.
memory_images = dict(
    indus_s=dict(img="${data_roots.indus}/S/annotations/train.json", img_root="${data_roots.indus}/S/images"),
    indus_t2=dict(img="${data_roots.indus}/T2/unlabelled"),
)
memory_dir = "work_dirs/yolox_fs_x_640x640_50e_Indus_S_base/memory"
memory_files = dict()  # MEMORY_DIR/DOMAIN_cluster.pth, unless named here
