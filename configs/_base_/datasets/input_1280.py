"""1280x1280 pixels, multi-scale training from 1152 to 1408. All pairs are (height, width)."""

img_scale = (1280, 1280)
random_size_range = (36, 44)  # in steps of 32 pixels
mosaic_border = (-640, -640)  # half the input: cuts Mosaic's double canvas back to it

# Stage I reads images at this size, so a prototype of stride 8, 16, 32 is this large.
memory_img_scale = (640, 640)
memory_sizes_hw = [(80, 80), (40, 40), (20, 20)]
