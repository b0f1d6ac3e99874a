"""MS2A in the memory's colours, and a mean teacher whose objectness is the label where its boxes are not believed."""

_base_ = "./ms2a_colour_mean_teacher.py"

benchmark = dict(title="MS2A, zero init + memory colour + mean teacher, soft labels")
model = dict(self_training=dict(score_thr=0.2, match=0.8, soft=True))
