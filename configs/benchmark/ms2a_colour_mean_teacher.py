"""MS2A in the memory's colours, and pseudo-labels of a mean teacher in the unlabelled target images."""

_base_ = "./ms2a_mean_teacher.py"

benchmark = dict(title="MS2A, zero init + memory colour + mean teacher", memories=dict(colour="${num_colours}"))
zero_init = True
colour_prob = 0.8
