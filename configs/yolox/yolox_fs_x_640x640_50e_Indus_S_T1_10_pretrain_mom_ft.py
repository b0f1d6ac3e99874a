"""Industrial data set S to T1, Stage II: target training with 10 annotated images."""

_base_ = [
    "../_base_/models/size_x.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_1280.py",
    "../_base_/datasets/indus_t1.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/yolox.py",
    "../_base_/default_runtime.py",
]

lr = 2e-4
max_epochs = 20
num_last_epochs = 5
batch_size = 2
target_times = 8
backbone_neck_lr_mult = 0.4
residual_lr_mult = 0.2
num_annotated = 10
eval_interval = 5
source_train = dict(num_images=64, split_seed=0)
memory_files = None  # the memory comes with the checkpoint

previous = "yolox_fs_x_640x640_50e_Indus_S_T1_pretrain_mom"
load_from = f"work_dirs/{previous}/latest.pth"
