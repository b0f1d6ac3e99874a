"""The benchmark's one schedule: every method adapts the base detector for 240 iterations of 8 labelled images."""

_base_ = "./adamw.py"

lr = 1e-3
max_epochs = 3
num_last_epochs = 1

# By iteration: three epochs are too few for YOLOX's policy.
lr_config = dict(
    _delete_=True,
    policy="CosineAnnealing",
    by_epoch=False,
    min_lr_ratio=0.05,
    warmup="linear",
    warmup_iters=20,
    warmup_ratio=0.1,
)
custom_hooks = [
    dict(type="ModeSwitchHook", num_last_epochs="${num_last_epochs}", priority=48),
    # A window of 50 iterations; the weights of the start are forgotten after some 20.
    dict(type="MemoryEMAHook", momentum=0.02, total_iter=20, priority=49),
]
