"""Control: MS2A with source features in the styles of the source's own memory, MixStyle without a target."""

_base_ = "./ms2a_style.py"

benchmark = dict(title="MS2A, zero init + styles of the source", kind="control")
style_domain = "${source_domain}"
