"""Your own data from COCO weights, Stage II: source training."""

_base_ = [
    "../_base_/models/size_nano.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_320.py",
    "../_base_/datasets/custom.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/adamw.py",
    "../_base_/default_runtime.py",
]

lr = 1e-3
max_epochs = 9
num_last_epochs = 2
warmup_epochs = 1
batch_size = 8
workers_per_gpu = 2
# Images of an epoch, whatever the sizes of the data sets: 80 iterations.
source_samples = 400
target_samples = 240
residual_lr_mult = 1.0
zero_init = True  # what the weights know is not replaced
eval_interval = 9
nms = dict(type="nms", iou_threshold=0.6)  # as in the base training, to compare with it

previous = "yolox_fs_nano_custom_base"
memory_dir = f"work_dirs/{previous}/memory"
load_from = f"work_dirs/{previous}/latest.pth"
