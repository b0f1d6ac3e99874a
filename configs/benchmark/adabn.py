"""Baseline: the base detector with batch norm statistics of the unlabelled target images."""

_base_ = "./joint_adabn.py"

benchmark = dict(title="AdaBN", fixed=True)
lr = 0.0  # the weights stay: what counts happens at the end of the one short epoch
max_epochs = 1
source_samples = 0
target_samples = 50
norm_share = 1.0
custom_hooks = ["${norm_hook}"]
