"""MS2A that starts at the base detector, with layer norm and scaled logits in the adaptation layers."""

_base_ = "./ms2a_zero_init.py"

benchmark = dict(title="MS2A, zero init + layer norm")
model = dict(adapter=dict(normalise=True))
