"""SGD, YOLOX's cosine policy and its hooks. A leaf states its recipe in these variables; the rest refers to them."""

lr = 1e-3
max_epochs = 50
num_last_epochs = 10  # the last ones: mixing off, SmoothL1 on, learning rate fixed
warmup_epochs = 5
warmup_ratio = 1.0
backbone_neck_lr_mult = 1.0
residual_lr_mult = 1.0
eval_interval = 10

optimizer = dict(
    type="SGD",
    lr="${lr}",
    momentum=0.9,
    weight_decay=5e-4,
    nesterov=True,
    # mmcv's own constructor decays norm layers again where a custom key sets their learning rate.
    constructor="PlainNormConstructor",
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(
            backbone=dict(lr_mult="${backbone_neck_lr_mult}"),
            neck=dict(lr_mult="${backbone_neck_lr_mult}"),
            residual=dict(lr_mult="${residual_lr_mult}"),
        ),
    ),
)
optimizer_config = dict(grad_clip=None)
lr_config = dict(
    policy="YOLOX",
    warmup="exp",
    by_epoch=False,
    warmup_by_epoch=True,
    warmup_ratio="${warmup_ratio}",
    warmup_iters="${warmup_epochs}",
    num_last_epochs="${num_last_epochs}",
    min_lr_ratio=0.05,
)
runner = dict(type="EpochBasedRunner", max_epochs="${max_epochs}")
custom_hooks = [
    dict(type="ModeSwitchHook", num_last_epochs="${num_last_epochs}", priority=48),
    # Processes see few images each: their batch norm statistics are averaged at the end of every epoch.
    dict(type="SyncNormHook", num_last_epochs="${num_last_epochs}", interval=1, priority=48),
    dict(type="MemoryEMAHook", momentum=1e-4, priority=49),
]
# No save_best: the last epoch is taken, so that no target test label chooses a checkpoint.
evaluation = dict(interval="${eval_interval}", metric="bbox")
