"""Control: MS2A without stored prototypes and colours, the residuals of each domain alone."""

_base_ = "./ms2a_zero_init.py"

benchmark = dict(title="MS2A, zero init, learned tokens only", kind="control")
model = dict(adapter=dict(prototypes="none"))
