"""YOLOX-L: 54 M parameters."""

deepen_factor = 1.0
widen_factor = 1.0
use_depthwise = False
neck_in_channels = [256, 512, 1024]
c5_channels = 1024  # the last of neck_in_channels: what the foreground branch reads
channels = 256
num_csp_blocks = 3

test_batch_size = 1
