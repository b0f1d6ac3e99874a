"""The demo, Stage II: source training, which starts at what the base detector computes."""

_base_ = [
    "../_base_/models/size_n.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_128x320.py",
    "../_base_/datasets/indus_synth_t1.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/adamw.py",
    "../_base_/default_runtime.py",
]

lr = 1e-3
max_epochs = 1
num_last_epochs = 0
warmup_epochs = 0
batch_size = 8
workers_per_gpu = 2
target_times = 8
zero_init = True
colour_prob = 0.8
affine_scale = (0.5, 1.5)
residual_lr_mult = 1.0
eval_interval = 8
nms = dict(type="nms", iou_threshold=0.6)  # as in the base training, to compare with it

previous = "yolox_fs_n_128x320_indus_synth_demo_base"
load_from = f"work_dirs/{previous}/latest.pth"
memory_dir = f"work_dirs/{previous}/memory"
