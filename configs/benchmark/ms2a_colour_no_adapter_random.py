"""Control: joint training in noise of the same mean and variance as the memory's colours."""

_base_ = "./ms2a_colour_no_adapter.py"

benchmark = dict(title="MS2A, zero init + memory colour: random colours alone", kind="control")
colour_prototypes = "random"
