"""Baseline: joint, then batch norm statistics half of the training, half of the unlabelled target images."""

_base_ = "./joint.py"

benchmark = dict(title="joint, half AdaBN", kind="baseline")
norm_share = 0.5
norm_images = "${unlabelled_images.img}"
norm_hook = dict(
    type="PreciseNormHook",
    share="${norm_share}",
    dataset=dict(
        type="ImageFolderDataset", img="${norm_images}", domain="${target_domain}", pipeline="${test_pipeline}"
    ),
    priority=49,
)
custom_hooks = [
    dict(type="ModeSwitchHook", num_last_epochs="${num_last_epochs}", priority=48),
    dict(type="MemoryEMAHook", momentum=0.02, total_iter=20, priority=49),
    "${norm_hook}",
]
