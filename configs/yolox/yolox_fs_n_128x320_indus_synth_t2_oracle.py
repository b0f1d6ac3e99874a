"""Generated benchmark: the base detector trained on with all labels of T2, an upper mark."""

_base_ = "./yolox_fs_n_128x320_indus_synth_base.py"

source_train = dict(domain="indus_synth_t2", ann_file="t2/pool.json", img_prefix="t2/images")
lr = 5e-3
max_epochs = 20
num_last_epochs = 4

previous = "yolox_fs_n_128x320_indus_synth_base"
load_from = f"work_dirs/{previous}/latest.pth"
