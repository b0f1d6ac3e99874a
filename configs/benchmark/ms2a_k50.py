"""Control: MS2A with 50 prototypes instead of 100."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, K = 50", kind="control")
num_prototypes = 50
