"""Cityscapes to Foggy Cityscapes, Stage II: source training."""

_base_ = [
    "../_base_/models/size_x.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_640.py",
    "../_base_/datasets/cityscapes_to_foggy.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/yolox.py",
    "../_base_/default_runtime.py",
]

lr = 1e-3
max_epochs = 50
num_last_epochs = 10
batch_size = 2
target_times = 8
num_prototypes = 80
residual_lr_mult = 0.2
nms = dict(type="nms", iou_threshold=0.6)

previous = "yolox_fs_x_640x640_50e_cityscapes_base"
load_from = f"work_dirs/{previous}/latest.pth"
