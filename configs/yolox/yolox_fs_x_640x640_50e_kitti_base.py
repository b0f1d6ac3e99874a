"""KITTI, cars: base training."""

_base_ = [
    "../_base_/models/size_x.py",
    "../_base_/models/yolox.py",
    "../_base_/datasets/input_1280.py",
    "../_base_/datasets/kitti_to_cityscapes.py",
    "../_base_/datasets/single_domain.py",
    "../_base_/schedules/yolox.py",
    "../_base_/default_runtime.py",
]

lr = 1e-3
max_epochs = 70
num_last_epochs = 10
batch_size = 1

# COCO weights, from https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_x_8x8_300e_coco/
load_from = "checkpoints/yolox_x_8x8_300e_coco_20211126_140254-1ef88d67.pth"
