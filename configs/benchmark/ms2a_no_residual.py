"""Control: MS2A without the learned residual of the memory."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, no residual", kind="control")
model = dict(adapter=dict(memory=dict(residual=False)))
