"""Control: MS2A without stored prototypes, the residuals of each domain alone."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, learned tokens only", kind="control")
model = dict(adapter=dict(prototypes="none"))
