"""Generated data set: the base detector trained on with all labels of T2, an upper mark."""

_base_ = [
    "../_base_/models/size_n.py",
    "../_base_/models/yolox.py",
    "../_base_/datasets/input_128x320.py",
    "../_base_/datasets/indus_synth_s.py",
    "../_base_/datasets/single_domain.py",
    "../_base_/schedules/adamw.py",
    "../_base_/default_runtime.py",
]

lr = 5e-4
max_epochs = 20
num_last_epochs = 2
warmup_epochs = 1
batch_size = 8
workers_per_gpu = 2
eval_interval = 8
source_train = dict(domain="indus_synth_t2", ann_file="t2/pool.json", img_prefix="t2/images")
load_from = "work_dirs/yolox_fs_n_128x320_indus_synth_base/latest.pth"

# As in the base training: one image at a time, moved and scaled a little.
affine_scale = (0.75, 1.3)
affine_border = (0, 0)
load_image = dict(_delete_=True, type="LoadPicture", bit_depth="${bit_depth}")
data = dict(train=dict(skip_type_keys=["Mosaic", "MixUp"]))
