"""MS2A: mixing, memory and adaptation module, foreground loss; windows of the feature ask."""

_base_ = [
    "../_base_/models/size_n.py",
    "../_base_/models/ms2a_yolox.py",
    "../_base_/datasets/input_128x320.py",
    "../_base_/datasets/indus_synth_t1.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/adaptation.py",
    "../_base_/default_runtime.py",
]

benchmark = dict(title="MS2A", kind="method", memories=dict(map="${num_prototypes}"))
batch_size = 8
workers_per_gpu = 1
source_samples = 400
target_samples = 240
nms = dict(type="nms", iou_threshold=0.6)
