"""The small YOLOX of 2.2 M parameters by the name that task files give it."""

_base_ = "./size_n.py"
