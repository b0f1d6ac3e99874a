"""Control: all pseudo-labels above the matched thresholds are believed."""

_base_ = "./ms2a_believed.py"

benchmark = dict(title="MS2A, all pseudo-labels believed", kind="control")
model = dict(object_memory=None)
