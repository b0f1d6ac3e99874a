"""Control: MS2A with source features in the styles of the source's own memory, MixStyle without a target."""

_base_ = "./ms2a_style.py"

title = "MS2A, zero init + styles of the source"
kind = "control"
style_domain = "${source_domain}"
style_of_source = True  # tools/benchmark.py does the same for other tasks
