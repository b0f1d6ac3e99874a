"""Control: noise of the stored objects' and background's mean and variance decides which pseudo-labels to believe."""

_base_ = "./ms2a_believed.py"

benchmark = dict(title="MS2A, pseudo-labels believed by random objects", kind="control")
model = dict(object_memory=dict(prototypes="random"))
