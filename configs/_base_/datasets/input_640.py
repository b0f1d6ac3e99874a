"""640x640 pixels, multi-scale training from 480 to 800. All pairs are (height, width)."""

img_scale = (640, 640)
random_size_range = (15, 25)  # in steps of 32 pixels
mosaic_border = (-320, -320)  # half the input: cuts Mosaic's double canvas back to it

# Stage I reads images at this size, so a prototype of stride 8, 16, 32 is this large.
memory_img_scale = (640, 640)
memory_sizes_hw = [(80, 80), (40, 40), (20, 20)]
