"""The demo, Stage II: target training with 10 annotated images and the colours of the target."""

_base_ = [
    "../_base_/models/size_n.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_128x320.py",
    "../_base_/datasets/indus_synth_t1.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/adamw.py",
    "../_base_/default_runtime.py",
]

lr = 5e-4
max_epochs = 6
num_last_epochs = 2
warmup_epochs = 1
batch_size = 8
workers_per_gpu = 2
target_times = 10
zero_init = True
colour_prob = 0.8
affine_scale = (0.5, 1.5)
backbone_neck_lr_mult = 0.4
residual_lr_mult = 0.2
eval_interval = 10
num_annotated = 10
source_train = dict(num_images=64, split_seed=0)
memory_files = None  # the memory comes with the checkpoint
nms = dict(type="nms", iou_threshold=0.6)  # as in the base training, to compare with it

previous = "yolox_fs_n_128x320_indus_synth_demo_pretrain_mom"
load_from = f"work_dirs/{previous}/latest.pth"
