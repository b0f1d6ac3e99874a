"""Start-up, logging and checkpoints: the same for every recipe."""

custom_imports = dict(imports=["ms2a.plugin"], allow_failed_imports=False)

# A run writes to work_dirs/<config name>/ unless --work-dir says otherwise. Every epoch is saved, so that a killed run
# loses one epoch at most; latest.pth points at the newest.
checkpoint_config = dict(interval=1, max_keep_ckpts=2)
log_config = dict(interval=50, hooks=[dict(type="TextLoggerHook")])
log_level = "INFO"
verbose = False  # True: the whole log on the terminal too, instead of a bar and a line an epoch
# Losses go to training.csv, and to tf_logs where tensorboard is installed; True insists on it, False writes none.
tensorboard = None
seed = 0

# Decoded training images kept in memory, all processes of a machine together; 0 for none.
image_cache_mb = 1024

load_from = None  # weights to start from; a stage-II leaf sets the checkpoint of its `previous` config
workflow = [("train", 1)]
fp16 = dict(loss_scale="dynamic")  # GPU only: training on the CPU drops it
freeze = False  # True: only the predictors, the residuals and the foreground branch train
