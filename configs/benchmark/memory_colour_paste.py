"""Joint training in the memory's colours, the target's annotated objects pasted into the pictures of both domains."""

_base_ = "./memory_colour.py"

benchmark = dict(title="memory colour and pasted target objects, without module")
data = dict(train=dict(before_mixing=[dict(type="PasteObjects", domain="${target_domain}", img_scale="${img_scale}")]))
