import pytest

from ms2a.datasets.formats import detect_format
from ms2a.errors import UserError

CONTENTS = {
    "coco": ("a.json", '{"images": [], "annotations": []}'),
    "labelme": ("a.json", '{"shapes": [], "imagePath": "a.jpg"}'),
    "voc": ("a.xml", "<annotation></annotation>"),
    "cvat": ("annotations.xml", "<annotations></annotations>"),
    "yolo": ("a.txt", "0 0.5 0.5 0.5 0.5\n"),
    "kitti": ("a.txt", "Car 0.00 0 1.55 1 2 3 4 1.5 1.6 3.9 -10.0 1.7 30.0 -1.2\n"),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_by_content_of_a_file_or_folder_of_any_depth(folder, kind):
    name, content = CONTENTS[kind]
    folder.write("deep/notes.txt", "Written by somebody on Monday\n")
    path = folder.write(f"deep/{name}", content)
    assert detect_format(path) == detect_format(folder.labels) == kind


def test_coco_whatever_comes_first(folder):
    for start in ("info", "version"):
        assert detect_format(folder.write("a.json", {start: {}, "annotations": [], "images": []})) == "coco"


def test_an_empty_first_file_does_not_decide(folder):
    folder.write("0.txt", "")
    folder.write("1.txt", CONTENTS["kitti"][1])
    assert detect_format(folder.labels) == "kitti"


def test_a_list_of_names_alone_is_yolo(folder):
    folder.write("data.yaml", "names: [nut]")
    assert detect_format(folder.labels) == "yolo"


def test_several_formats_need_a_word(folder):
    for kind in ("voc", "yolo"):
        folder.write(*CONTENTS[kind])
    with pytest.raises(UserError, match=r"several formats: voc \(a.xml\), yolo \(a.txt\); say which with `format`"):
        detect_format(folder.labels)


def test_nothing_known(folder):
    folder.write("readme.txt", "hello")
    with pytest.raises(UserError, match="no annotations in .*coco, voc, yolo, labelme, cvat, kitti"):
        detect_format(folder.labels)
    with pytest.raises(UserError, match="do not exist"):
        detect_format(folder.root / "nowhere")


def test_hidden_files_and_archives(folder):
    folder.write(".ipynb_checkpoints/a.txt", CONTENTS["kitti"][1])
    folder.write("._a.xml", "no XML at all")
    folder.write(*CONTENTS["yolo"])
    assert detect_format(folder.labels) == "yolo"
    with pytest.raises(UserError, match="unpack the archive first"):
        detect_format(folder.write("export.zip", "PK"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"format": "csv"}, "`format=csv` is not known"),
        ({"first_pixel": 2}, "`first_pixel=2`, expected 0 or 1"),
        ({"first_pixel": 0}, "`first_pixel` is for VOC annotations, but those in .* are yolo"),
        ({"listed": ["a"]}, "a list of names is for VOC"),
        ({"format": "cvat"}, "0 XML files in"),
    ],
)
def test_options_that_do_not_fit(folder, options, message):
    folder.picture("a.jpg")
    folder.write(*CONTENTS["yolo"])
    with pytest.raises(UserError, match=message):
        folder.read(["nut"], **options)
