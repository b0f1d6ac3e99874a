"""Control: MS2A in which each domain reads the other's memory."""

_base_ = "./ms2a.py"

title = "MS2A, memories swapped"
kind = "control"
swap_memories = True
