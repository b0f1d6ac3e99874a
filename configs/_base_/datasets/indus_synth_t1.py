"""Generated data set, S to T1, one class."""

_base_ = "./indus_synth_s.py"

target_domain = "indus_synth_t1"
num_annotated = 10  # annotated target images: 10, 30 or 50
split_seed = 0  # which draw of them

target_train = dict(
    type="DomainCocoDataset",
    domain="indus_synth_t1",
    classes="${classes}",
    data_root="${data_roots.indus_synth}",
    ann_file="t1/split${split_seed}_${num_annotated}.json",
    img_prefix="t1/images",
    filter_empty_gt=False,
    pipeline="${target_pipeline}",
)
target_pool = "t1/pool.json"  # all its labels
test_sets = ["${t1_test}", "${source_val}"]  # the target comes first

unlabelled_images = dict(img="${data_roots.indus_synth}/t1/unlabelled")
# Stage I: the images it reads (a folder, or a COCO file and its image folder; labels are not used) and what it
# writes with the detector of the base training.
memory_images = dict(
    indus_synth_s=dict(img="${data_roots.indus_synth}/s/train.json", img_root="${data_roots.indus_synth}/s/images"),
    indus_synth_t1="${unlabelled_images}",
)
memory_dir = "work_dirs/yolox_fs_n_128x320_indus_synth_base/memory"
memory_files = dict()  # MEMORY_DIR/DOMAIN_cluster.pth, unless named here
