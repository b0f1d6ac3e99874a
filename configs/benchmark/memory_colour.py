"""Joint training in the memory's colours, without adaptation module, foreground loss and CopyPaste."""

_base_ = "./joint.py"

benchmark = dict(title="memory colour, without module", kind="method", memories=dict(colour="${num_colours}"))
colour_prob = 0.8
