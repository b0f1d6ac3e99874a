"""MS2A that starts exactly at the base detector: what the adaptation module says is added by a zero convolution."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, zero init")
zero_init = True
