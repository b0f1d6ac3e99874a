"""Control: the same with noise of the same mean and variance in the place of the memory's colours."""

_base_ = "./memory_colour_soft.py"

benchmark = dict(title="memory colour, without module + mean teacher, soft labels: random colours", kind="control")
colour_prototypes = "random"
