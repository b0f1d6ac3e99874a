"""Control: noise of the same mean and variance for the memory's colours, the target's annotated objects pasted in."""

_base_ = "./memory_colour_paste.py"

benchmark = dict(title="memory colour and pasted target objects, without module: random colours", kind="control")
colour_prototypes = "random"
