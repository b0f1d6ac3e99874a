"""MS2A in the direction of the released weights: windows of the memory ask."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, memory asks")
adapter_query = "memory"
