"""Your own data: base training, from COCO weights."""

_base_ = [
    "../_base_/models/size_nano.py",
    "../_base_/models/yolox.py",
    "../_base_/datasets/input_320.py",
    "../_base_/datasets/custom.py",
    "../_base_/datasets/single_domain.py",
    "../_base_/schedules/adamw.py",
    "../_base_/default_runtime.py",
]

lr = 1e-3
max_epochs = 10
num_last_epochs = 3
warmup_epochs = 1
batch_size = 8
workers_per_gpu = 2
eval_interval = 8

# Training is short: one image at a time, moved and scaled a little.
affine_scale = (0.75, 1.3)
affine_border = (0, 0)
load_image = dict(_delete_=True, type="LoadPicture", bit_depth="${bit_depth}")
data = dict(train=dict(skip_type_keys=["Mosaic", "MixUp"]))
