import json
import subprocess
import sys

import pytest

from ms2a.errors import UserError
from tests.tiny import ROOT, make_coco, tool


@pytest.fixture
def ann_file(tmp_path):
    return make_coco(tmp_path / "data", n_images=12, classes=("nut", "bolt"))


def test_make_fewshot_split(ann_file, tmp_path, capsys):
    main = tool("tools/make_fewshot_split.py")
    main([ann_file, "--counts", 2, 6, "--seed", 1, "--out", tmp_path / "out", "--name", "t1"])
    small, large = (json.loads((tmp_path / "out" / f"t1_{count}.json").read_text()) for count in (2, 6))
    assert (len(small["images"]), len(large["images"])) == (2, 6)
    assert {image["id"] for image in small["images"]} < {image["id"] for image in large["images"]}
    assert small["split"] == {"count": 2, "seed": 1}
    assert small["provenance"]["seed"] == 1
    assert "2 images" in capsys.readouterr().out
    coco = json.loads(ann_file.read_text())
    coco["categories"].append(dict(id=9, name="rare"))
    coco["annotations"][0]["category_id"] = 9
    ann_file.write_text(json.dumps(coco))
    main([ann_file, "--classes", "rare", "--counts", 1, "--out", tmp_path / "out", "--name", "rare"])
    (image,) = json.loads((tmp_path / "out" / "rare_1.json").read_text())["images"]
    assert image["id"] == coco["annotations"][0]["image_id"]
    assert "every class" in capsys.readouterr().out
    with pytest.raises(UserError, match="no category named 'rares'"):
        main([ann_file, "--classes", "rares", "--counts", 1, "--out", tmp_path / "out"])
    main([ann_file, "--counts", 3, "--out", tmp_path / "out"])
    assert (tmp_path / "out" / "annotations_seed0_3.json").exists()


def test_a_mistake_is_one_line_and_exit_2(ann_file, tmp_path):
    """As a process of its own: the other command lines share the function that does this."""
    command = [sys.executable, "tools/make_fewshot_split.py", ann_file, "--counts", "20", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: 20 annotated images asked for, but only 12 of 12")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_voc_to_coco(tmp_path):
    images = make_coco(tmp_path / "data", n_images=2).parent / "images"
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>"
    xml = tmp_path / "xml"
    xml.mkdir()
    for stem in ("001", "002"):
        (xml / f"{stem}.xml").write_text(f"<annotation><object><name>nut</name>{box}</object></annotation>")
    (tmp_path / "train.txt").write_text("002\n")
    main = tool("tools/dataset_converters/voc_to_coco.py")
    main([xml, images, tmp_path / "out.json", "--list", tmp_path / "train.txt", "--classes", "bolt", "nut"])
    coco = json.loads((tmp_path / "out.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["002.png"]
    assert [(a["category_id"], a["bbox"]) for a in coco["annotations"]] == [(2, [0, 0, 10, 20])]


@pytest.mark.parametrize("arguments", [["none", "."], [".", ".", "--list", "none"]])
def test_voc_to_coco_of_missing_files(tmp_path, arguments):
    main = tool("tools/dataset_converters/voc_to_coco.py")
    with pytest.raises(UserError, match="none do(es)? not exist"):
        main([*arguments[:2], tmp_path / "out.json", *arguments[2:]])
    assert not (tmp_path / "out.json").exists()


def test_a_split_counts_pictures_and_not_entries(tmp_path, capsys):
    ann_file = make_coco(tmp_path / "data", n_images=5)
    coco = json.loads(ann_file.read_text())
    # As tools write them that list a picture for each of its boxes.
    images = {image["id"]: image for image in coco["images"]}
    coco["images"] = []
    for annotation in coco["annotations"]:
        image = images[annotation["image_id"]] | dict(id=100 + annotation["id"])
        annotation["image_id"] = image["id"]
        coco["images"].append(image)
    ann_file.write_text(json.dumps(coco))
    arguments = [ann_file, "--counts", 4, "--out", tmp_path / "out", "--name", "t1"]
    tool("tools/make_fewshot_split.py")([*arguments, "--images", tmp_path / "data" / "images"])
    split = json.loads((tmp_path / "out" / "t1_4.json").read_text())
    assert len({image["file_name"] for image in split["images"]}) == len(split["images"]) == 4
    assert "picture entries merged" in capsys.readouterr().out
    coco["images"][0]["width"] = 7
    ann_file.write_text(json.dumps(coco))
    with pytest.raises(UserError, match="pictures of another size than their annotations state"):
        tool("tools/make_fewshot_split.py")([*arguments, "--images", tmp_path / "data" / "images"])
