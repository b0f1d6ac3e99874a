"""Control: MS2A plus without stored prototypes and styles, the residuals of each domain alone."""

_base_ = "./ms2a_plus.py"

title = "MS2A plus, learned tokens only"
kind = "control"
model = dict(adapter=dict(prototypes="none"), style=None)
