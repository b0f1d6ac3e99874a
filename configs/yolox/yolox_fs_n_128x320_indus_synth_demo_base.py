"""The demo, source: base training goes on from weights that come with the project."""

_base_ = [
    "../_base_/models/size_n.py",
    "../_base_/models/yolox.py",
    "../_base_/datasets/input_128x320.py",
    "../_base_/datasets/indus_synth_s.py",
    "../_base_/datasets/single_domain.py",
    "../_base_/schedules/adamw.py",
    "../_base_/default_runtime.py",
]

lr = 1e-4
max_epochs = 1
num_last_epochs = 0
warmup_epochs = 0
batch_size = 8
workers_per_gpu = 2
eval_interval = 1

# Training is short: one image at a time, moved and scaled a little.
affine_scale = (0.75, 1.3)
affine_border = (0, 0)
load_image = dict(_delete_=True, type="LoadPicture", bit_depth="${bit_depth}")
data = dict(train=dict(skip_type_keys=["Mosaic", "MixUp"]))
