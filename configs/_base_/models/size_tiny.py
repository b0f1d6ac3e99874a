"""YOLOX-Tiny: 5 M parameters."""

deepen_factor = 0.33
widen_factor = 0.375
use_depthwise = False
neck_in_channels = [96, 192, 384]
c5_channels = 384  # the last of neck_in_channels: what the foreground branch reads
channels = 96
num_csp_blocks = 1

test_batch_size = 8
