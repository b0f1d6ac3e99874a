"""Control: MS2A plus without stored prototypes and styles, the residuals of each domain alone."""

_base_ = "./ms2a_plus.py"

benchmark = dict(
    title="MS2A plus, learned tokens only", kind="control", memories=dict(_delete_=True, map="${num_prototypes}")
)
model = dict(adapter=dict(prototypes="none"), style=None)
