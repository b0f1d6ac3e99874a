"""320x320 pixels, multi-scale training from 256 to 384. All pairs are (height, width); change all of them together."""

img_scale = (320, 320)
random_size_range = (8, 12)  # in steps of 32 pixels
mosaic_border = (-160, -160)  # half the input: cuts Mosaic's double canvas back to it

# Stage I reads images at this size, so a prototype of stride 8, 16, 32 is this large.
memory_img_scale = (320, 320)
memory_sizes_hw = [(40, 40), (20, 20), (10, 10)]
