"""Run by itself with labelme installed: writes shapes as labelme saves them, and the boxes of its own masks of them."""

import json
import sys
from pathlib import Path

import numpy as np
from labelme import __version__, utils
from labelme._label_file import read_image_file, write_label_file

root = Path(sys.argv[1])
shapes_of = json.loads((root / "shapes.json").read_text())
(root / "labelme").mkdir()
boxes = {}
for name, shapes in shapes_of.items():
    path = root / "images" / name
    image = utils.img_data_to_arr(read_image_file(str(path)))  # turned upright
    height, width = image.shape[:2]
    boxes[name] = []
    for shape in shapes:
        shape |= {"flags": {}, "group_id": None, "description": "", "mask": None}
        if shape["shape_type"] == "mask":
            (x1, y1), (x2, y2) = np.array(shape["points"], int)
            filled = np.ones((y2 - y1 + 1, x2 - x1 + 1), np.uint8)
            shape["mask"] = utils.img_arr_to_b64(filled)
            shown = np.zeros((height, width), bool)
            shown[y1 : y2 + 1, x1 : x2 + 1] = filled
        else:
            shown = utils.shape_to_mask((height, width), shape["points"], shape["shape_type"])
        y1, x1, y2, x2 = utils.masks_to_bboxes(shown[None])[0].tolist()
        boxes[name].append([shape["label"], [x1, y1, x2 - x1, y2 - y1]])
    write_label_file(
        str(root / "labelme" / f"{path.stem}.json"),
        shapes=shapes, image_path=f"../images/{name}", image_height=height, image_width=width,
    )  # fmt: skip
(root / "read.json").write_text(json.dumps({"version": __version__, "boxes": boxes}))
