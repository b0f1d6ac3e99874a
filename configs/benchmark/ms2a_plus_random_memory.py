"""Control: MS2A plus with noise of the same mean and variance in the place of prototypes and of styles."""

_base_ = "./ms2a_plus.py"

benchmark = dict(title="MS2A plus, random prototypes and styles", kind="control")
model = dict(adapter=dict(prototypes="random"), style=dict(prototypes="random"))
