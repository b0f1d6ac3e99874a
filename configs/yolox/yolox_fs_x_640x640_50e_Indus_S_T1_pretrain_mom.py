"""Industrial data set S to T1, Stage II: source training."""

_base_ = [
    "../_base_/models/size_x.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_1280.py",
    "../_base_/datasets/indus_t1.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/yolox.py",
    "../_base_/default_runtime.py",
]

lr = 1e-3
max_epochs = 50
num_last_epochs = 5
batch_size = 1
target_times = 10

previous = "yolox_fs_x_640x640_50e_Indus_S_base"
load_from = f"work_dirs/{previous}/latest.pth"
