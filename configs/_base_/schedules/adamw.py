"""AdamW instead of SGD: small detectors that start from random weights and train for minutes learn faster with it."""

_base_ = "./yolox.py"

optimizer = dict(
    _delete_=True,
    type="AdamW",
    lr="${lr}",
    weight_decay=0.02,
    fused=True,
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
optimizer_config = dict(_delete_=True, grad_clip=dict(max_norm=10))
