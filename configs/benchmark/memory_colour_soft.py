"""Joint training in the memory's colours with a mean teacher of soft labels, without module and CopyPaste."""

_base_ = "./mean_teacher_soft.py"

benchmark = dict(
    title="memory colour, without module + mean teacher, soft labels",
    kind="method",
    memories=dict(colour="${num_colours}"),
)
colour_prob = 0.8
