"""Control: MS2A with noise of the stored prototypes' mean and variance in their place."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, random prototypes", kind="control")
model = dict(adapter=dict(prototypes="random"))
