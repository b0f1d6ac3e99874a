"""Control: joint training in noise of the same mean and variance as the memory's colours."""

_base_ = "./memory_colour.py"

benchmark = dict(title="memory colour, without module: random colours", kind="control")
colour_prototypes = "random"
