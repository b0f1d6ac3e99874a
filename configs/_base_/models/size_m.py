"""YOLOX-M: 25 M parameters."""

deepen_factor = 0.67
widen_factor = 0.75
use_depthwise = False
neck_in_channels = [192, 384, 768]
c5_channels = 768  # the last of neck_in_channels: what the foreground branch reads
channels = 192
num_csp_blocks = 2

test_batch_size = 2
