"""Wide images of 128x320 pixels, multi-scale training from 96x224 to 160x384. All pairs are (height, width)."""

img_scale = (128, 320)
random_size_range = (3, 5)  # heights, in steps of 32 pixels
mosaic_border = (-64, -160)  # half the input: cuts Mosaic's double canvas back to it

# Stage I reads images at this size, so a prototype of stride 8, 16, 32 is this large.
memory_img_scale = (128, 320)
memory_sizes_hw = [(16, 40), (8, 20), (4, 10)]
