"""YOLOX-S: 9 M parameters."""

deepen_factor = 0.33
widen_factor = 0.5
use_depthwise = False
neck_in_channels = [128, 256, 512]
c5_channels = 512  # the last of neck_in_channels: what the foreground branch reads
channels = 128
num_csp_blocks = 1

test_batch_size = 4
