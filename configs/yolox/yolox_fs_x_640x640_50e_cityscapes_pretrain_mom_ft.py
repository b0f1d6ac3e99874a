"""Cityscapes to Foggy Cityscapes, Stage II: target training."""

_base_ = [
    "../_base_/models/size_x.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_640.py",
    "../_base_/datasets/cityscapes_to_foggy.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/yolox.py",
    "../_base_/default_runtime.py",
]

lr = 1e-4
max_epochs = 20
num_last_epochs = 5
batch_size = 4
target_times = 10
num_prototypes = 80
backbone_neck_lr_mult = 0.3
warmup_ratio = 0.1
eval_interval = 5
source_train = dict(num_images=64, split_seed=0)
memory_files = None  # the memory comes with the checkpoint

previous = "yolox_fs_x_640x640_50e_cityscapes_pretrain_mom"
load_from = f"work_dirs/{previous}/latest.pth"
