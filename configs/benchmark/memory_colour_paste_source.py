"""Control of ``memory_colour_paste``: the pasted objects are the source's."""

_base_ = "./memory_colour_paste.py"

benchmark = dict(title="memory colour and pasted source objects, without module", kind="control")
data = dict(train=dict(before_mixing=[dict(type="PasteObjects", domain="${source_domain}", img_scale="${img_scale}")]))
