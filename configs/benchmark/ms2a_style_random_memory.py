"""Control: MS2A with random styles of the target's mean and variance."""

_base_ = "./ms2a_style.py"

benchmark = dict(title="MS2A, zero init + random styles", kind="control")
model = dict(style=dict(prototypes="random"))
