"""Control: MS2A with the memory of the wrong domain: prototypes swapped, images in the colours of the source."""

_base_ = "./ms2a_colour.py"

benchmark = dict(title="MS2A, zero init + memories and colours swapped", kind="control", swapped=True)
colour_domain = "${source_domain}"
