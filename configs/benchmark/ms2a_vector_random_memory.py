"""Control: MS2A with vector prototypes, and noise of their mean and variance in their place."""

_base_ = "./ms2a_vector.py"

benchmark = dict(title="MS2A, random vector prototypes", kind="control")
model = dict(adapter=dict(prototypes="random"))
