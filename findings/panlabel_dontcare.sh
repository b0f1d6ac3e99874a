#!/usr/bin/env bash
# panlabel refuses KITTI's own label files: it cannot read the -1 that KITTI writes where DontCare has no occlusion.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q panlabel==0.7.0 pillow==13.0.0
mkdir -p "$folder/kitti/label_2" "$folder/kitti/image_2"
cd "$folder"
"$folder/env/bin/python" -c 'from PIL import Image; Image.new("RGB", (60, 40)).save("kitti/image_2/000000.png")'
convert() { "$folder/env/bin/panlabel" convert -f kitti -t coco -i kitti -o "$1" --allow-lossy 2>&1; }
car='Car 0.00 0 -1.57 10.00 5.00 30.00 20.00 1.50 1.60 3.70 1.00 1.50 20.00 -1.50'
region='DontCare -1 -1 -10 40.00 5.00 50.00 20.00 -1 -1 -1 -1000 -1000 -1000 -10'
"$folder/env/bin/panlabel" --version
echo "A car is converted: $car"
echo "$car" > kitti/label_2/000000.txt
said=$(convert car.json); echo "${said%%$'\n'*}"
echo "The same with a region to ignore, as in KITTI's training labels: $region"
echo "$region" >> kitti/label_2/000000.txt
if said=$(convert both.json); then echo "converted"; exit 1; fi
echo "${said##*$'\n'}"
[[ -s car.json && ! -e both.json && $said == *"occluded value '-1'"* ]]
