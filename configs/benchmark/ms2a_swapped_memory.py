"""Control: MS2A in which each domain reads the other's memory."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, memories swapped", kind="control", swapped=True)
