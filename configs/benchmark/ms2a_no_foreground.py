"""Control: MS2A without the foreground branch."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, no foreground loss", kind="control")
model = dict(foreground=None)
