"""MS2A that starts at the base detector, with images of both domains in the colours of the target's memory."""

_base_ = "./ms2a_zero_init.py"

benchmark = dict(title="MS2A, zero init + memory colour", memories=dict(colour="${num_colours}"))
colour_prob = 0.8
