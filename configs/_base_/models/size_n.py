"""A small YOLOX (2.2 M parameters) that trains on two CPU cores."""

deepen_factor = 0.33
widen_factor = 0.25
use_depthwise = False
neck_in_channels = [64, 128, 256]
c5_channels = 256  # the last of neck_in_channels: what the foreground branch reads
channels = 64
num_csp_blocks = 1

test_batch_size = 8  # small images alone keep no core busy
