"""Run by itself with supervision installed: writes truth.json's boxes in every format that supervision knows."""

import json
import sys
from pathlib import Path

import numpy as np
import supervision as sv

root = Path(sys.argv[1])
truth = json.loads((root / "truth.json").read_text())
names = truth["classes"]
annotations = {}
for name, boxes in truth["pictures"].items():
    corners = [[x, y, x + w, y + h] for _, (x, y, w, h) in boxes]
    annotations[str(root / "images" / name)] = sv.Detections(
        xyxy=np.array(corners, float).reshape(-1, 4), class_id=np.array([names.index(label) for label, _ in boxes], int)
    )
data = sv.DetectionDataset(classes=names, images=list(annotations), annotations=annotations)
data.as_pascal_voc(annotations_directory_path=str(root / "voc"))
data.as_yolo(annotations_directory_path=str(root / "yolo"), data_yaml_path=str(root / "yolo/data.yaml"))
data.as_coco(annotations_path=str(root / "coco/coco.json"))
data.as_labelme(annotations_directory_path=str(root / "labelme"))

# What supervision reads of its own files.
images = str(root / "images")
read = {
    "voc": sv.DetectionDataset.from_pascal_voc(images, str(root / "voc")),
    "yolo": sv.DetectionDataset.from_yolo(images, str(root / "yolo"), str(root / "yolo/data.yaml")),
    "coco": sv.DetectionDataset.from_coco(images, str(root / "coco/coco.json")),
    "labelme": sv.DetectionDataset.from_labelme(images, str(root / "labelme")),
}
result = {
    kind: {
        Path(path).name: [
            [data.classes[label], [x1, y1, x2 - x1, y2 - y1]]
            for label, (x1, y1, x2, y2) in zip(found.class_id.tolist(), found.xyxy.tolist(), strict=True)
        ]
        for path, found in data.annotations.items()
    }
    for kind, data in read.items()
}
(root / "read.json").write_text(json.dumps({"version": sv.__version__, "boxes": result}))
