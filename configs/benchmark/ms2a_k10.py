"""Control: MS2A with 10 prototypes instead of 100."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, K = 10", kind="control")
num_prototypes = 10
