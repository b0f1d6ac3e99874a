"""Control: MS2A with noise in the place of the prototypes, but the stored colours."""

_base_ = "./ms2a_colour.py"

benchmark = dict(title="MS2A, zero init + memory colour, random prototypes", kind="control")
model = dict(adapter=dict(prototypes="random"))
