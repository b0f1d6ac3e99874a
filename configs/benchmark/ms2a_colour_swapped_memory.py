"""Control: MS2A with the memory of the wrong domain: prototypes swapped, images in the colours of the source."""

_base_ = "./ms2a_colour.py"

title = "MS2A, zero init + memories and colours swapped"
kind = "control"
swap_memories = True
colour_domain = "${source_domain}"
colour_of_source = True  # tools/benchmark.py does the same for other tasks
