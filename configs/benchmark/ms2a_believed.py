"""MS2A in the memory's colours, and pseudo-labels that a memory of the target's objects believes."""

_base_ = "./ms2a_colour_mean_teacher.py"

benchmark = dict(title="MS2A, zero init + memory colour + pseudo-labels believed by the memory")
model = dict(
    self_training=dict(score_thr=0.2, doubt_thr=0.1, match=0.8),
    object_memory=dict(channels="${channels}"),
)
