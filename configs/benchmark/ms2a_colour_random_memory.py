"""Control: MS2A with noise of the same mean and variance in the place of prototypes and of colours."""

_base_ = "./ms2a_colour.py"

benchmark = dict(title="MS2A, zero init + random prototypes and colours", kind="control")
colour_prototypes = "random"
model = dict(adapter=dict(prototypes="random"))
