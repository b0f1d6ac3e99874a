"""Your own data: base stage, from random weights."""

_base_ = [
    "../_base_/models/size_n.py",
    "../_base_/models/yolox.py",
    "../_base_/datasets/input_320.py",
    "../_base_/datasets/custom.py",
    "../_base_/datasets/single_domain.py",
    "../_base_/schedules/yolox.py",
    "../_base_/default_runtime.py",
]

lr = 4e-3
max_epochs = 24
num_last_epochs = 4
warmup_epochs = 1
batch_size = 8
workers_per_gpu = 2
eval_interval = 8
