#!/usr/bin/env bash
# datumaro turns objects of a CVAT video track that have left the picture (outside="1") into objects of COCO.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q datumaro==1.13.12
cd "$folder"
cat > annotations.xml <<'XML'
<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id><name>v</name><size>3</size><mode>interpolation</mode>
<start_frame>0</start_frame><stop_frame>2</stop_frame><frame_filter></frame_filter>
<labels><label><name>nut</name><attributes></attributes></label></labels>
<original_size><width>60</width><height>40</height></original_size></task></meta>
<track id="0" label="nut" source="manual">
<box frame="0" keyframe="1" outside="0" occluded="0" xtl="0.00" ytl="0.00" xbr="10.00" ybr="10.00" z_order="0"></box>
<box frame="1" keyframe="1" outside="1" occluded="0" xtl="0.00" ytl="0.00" xbr="10.00" ybr="10.00" z_order="0"></box>
</track></annotations>
XML
"$folder/env/bin/python" - <<'PY'
import json, platform, sys
from importlib.metadata import version
from pathlib import Path

import datumaro

datumaro.Dataset.import_from("annotations.xml", "cvat").export("out", "coco_instances", save_media=False)
(path,) = Path("out/annotations").glob("*.json")
boxes = json.loads(path.read_text())["annotations"]
print(f"datumaro {version('datumaro')}, Python {platform.python_version()}")
print("A CVAT track shows an object in frame 0 and says that it has left in frame 1: one object is to be seen.")
print(f"COCO as datumaro writes it: {len(boxes)} objects, iscrowd {[box['iscrowd'] for box in boxes]}")
sys.exit(len(boxes) != 2)
PY
