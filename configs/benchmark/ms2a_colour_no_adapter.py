"""Control: joint training in the memory's colours, without adaptation module, foreground loss and CopyPaste."""

_base_ = "./joint.py"

benchmark = dict(
    title="MS2A, zero init + memory colour: the colours alone", kind="control", memories=dict(colour="${num_colours}")
)
colour_prob = 0.8
