"""Baseline: source and target images, the few target ones repeated."""

_base_ = [
    "../_base_/models/size_n.py",
    "../_base_/models/yolox.py",
    "../_base_/datasets/input_128x320.py",
    "../_base_/datasets/indus_synth_t1.py",
    "../_base_/datasets/cross_domain.py",
    "../_base_/schedules/adaptation.py",
    "../_base_/default_runtime.py",
]

benchmark = dict(title="joint", kind="baseline")
batch_size = 8
workers_per_gpu = 1
source_samples = 400
target_samples = 240
nms = dict(type="nms", iou_threshold=0.6)
data = dict(train=dict(skip_type_keys=["CrossDomainCopyPaste"]))
model = dict(default_domain="${target_domain}")
