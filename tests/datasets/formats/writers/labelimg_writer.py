"""Run by itself with labelImg and PyQt5 installed: writes truth.json's boxes as labelImg saves them."""

import json
import sys
from pathlib import Path

from libs.labelFile import LabelFile
from PyQt5.QtGui import QImageReader

root = Path(sys.argv[1])
truth = json.loads((root / "truth.json").read_text())
for folder in ("voc", "yolo"):
    (root / folder).mkdir()
for name, boxes in truth["pictures"].items():
    path = root / "images" / name
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)  # as labelImg's window does
    image = reader.read()
    shapes = [
        {"label": label, "points": [(x, y), (x + w, y), (x + w, y + h), (x, y + h)], "difficult": False}
        for label, (x, y, w, h) in boxes
    ]
    LabelFile().save_pascal_voc_format(str(root / "voc" / f"{path.stem}.xml"), shapes, str(path), image)
    labels = list(truth["classes"])
    LabelFile().save_yolo_format(str(root / "yolo" / f"{path.stem}.txt"), shapes, str(path), image, labels)
