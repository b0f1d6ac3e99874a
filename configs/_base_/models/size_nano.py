"""YOLOX-Nano: 0.9 M parameters, depthwise convolutions: the lightest with COCO weights."""

deepen_factor = 0.33
widen_factor = 0.25
use_depthwise = True
neck_in_channels = [64, 128, 256]
c5_channels = 256  # the last of neck_in_channels: what the foreground branch reads
channels = 64
num_csp_blocks = 1

test_batch_size = 8
