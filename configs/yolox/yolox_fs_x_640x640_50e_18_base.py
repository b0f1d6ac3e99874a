"""The older name of Indus_S_base."""

_base_ = "./yolox_fs_x_640x640_50e_Indus_S_base.py"
