"""YOLOX-X: 99 M parameters."""

deepen_factor = 1.33
widen_factor = 1.25
use_depthwise = False
neck_in_channels = [320, 640, 1280]
c5_channels = 1280  # the last of neck_in_channels: what the foreground branch reads
channels = 320
num_csp_blocks = 4

test_batch_size = 1  # as released
