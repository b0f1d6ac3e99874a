"""Your own data from COCO weights, Stage II: target training."""

_base_ = [
    "../_base_/models/size_nano.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_320.py",
    "../_base_/datasets/custom.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/adamw.py",
    "../_base_/default_runtime.py",
]

lr = 3e-4
max_epochs = 3
num_last_epochs = 1
warmup_epochs = 1
batch_size = 8
workers_per_gpu = 2
source_samples = 80
target_samples = 240
backbone_neck_lr_mult = 0.4
residual_lr_mult = 0.2
zero_init = True
eval_interval = 3
source_train = dict(num_images=64, split_seed=0)
memory_files = None  # the memory comes with the checkpoint
nms = dict(type="nms", iou_threshold=0.6)  # as in the base training, to compare with it

previous = "yolox_fs_nano_custom_pretrain_mom"
load_from = f"work_dirs/{previous}/latest.pth"
