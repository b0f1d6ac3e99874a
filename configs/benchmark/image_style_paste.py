"""Baseline: joint, image style, the target's annotated objects pasted into the pictures of both domains."""

_base_ = "./image_style.py"

benchmark = dict(title="joint + image style + pasted target objects")
data = dict(train=dict(before_mixing=[dict(type="PasteObjects", domain="${target_domain}", img_scale="${img_scale}")]))
