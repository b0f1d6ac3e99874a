import cv2
import numpy as np
import pytest
import torch

from ms2a.analysis.batches import CAPTION_HEIGHT, MASK_COLOUR_BGR, class_colour, draw_training_image
from ms2a.analysis.browse import network_inputs
from ms2a.config import load_config
from ms2a.errors import UserError
from tests.tiny import make_config, make_domains, make_memory, tool

CLASSES = ("nut", "bolt")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browse")
    return make_config(folder / "config.py", make_domains(folder / "data", CLASSES), CLASSES, make_memory(folder))


def test_draws_the_images_of_both_domains(config, tmp_path):
    tool("tools/browse_batches.py")([config, "--out-dir", tmp_path, "--num", "8"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 8
    assert {name.split("_")[1] for name in names} == {"day.jpg", "night.jpg"}
    for name in names:
        assert cv2.imread(str(tmp_path / name)) is not None


def test_cfg_options_and_number(config, tmp_path):
    main = tool("tools/browse_batches.py")
    main([config, "--out-dir", tmp_path, "--num", "3", "--cfg-options", "model.random_size_range=(2,2)"])
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(UserError, match="--num 0"):
        main([config, "--out-dir", tmp_path, "--num", "0"])


def test_self_training_shows_its_labelled_images(config, tmp_path):
    options = ["--cfg-options", "model.self_training.score_thr=0.5"]
    tool("tools/browse_batches.py")([config, "--out-dir", tmp_path, "--num", "2", *options])
    assert len(list(tmp_path.iterdir())) == 2


def test_styles_need_not_be_there(tmp_path, config):
    style = dict(type="StyleMemory", domain="night", channels=(8, 16), num_styles=2, file="none.pth")
    cfg = load_config(config)
    cfg.model.style = style
    assert next(network_inputs(cfg)).image.ndim == 3


def test_inputs_are_at_the_size_the_network_sees(config):
    """Pasted rectangles are of one colour: a box must lie on pixels of a class colour at every size."""
    cfg = load_config(
        config, {"data.train.skip_type_keys": ["CrossDomainCopyPaste", "SameDomainMosaic", "RandomAffine"]}
    )
    sizes = set()
    for item in network_inputs(cfg, seed=1):
        height, width = item.image.shape[1:]
        sizes.add((height, width))
        assert item.mask.shape == (height // 32, width // 32)
        assert (item.mask.sum() > 0) == (len(item.boxes_xyxy) > 0)
        assert len(item.boxes_xyxy) == len(item.labels) > 0
        x1, y1, x2, y2 = item.boxes_xyxy[-1].round().int().tolist()
        inner = item.image[:, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1]
        # The last rectangle drawn is whole: no background (90 to 130 in all channels) inside its box.
        assert inner.numel() and (inner.amin(0) < 90).all()
    assert len(sizes) > 1


def test_same_seed_same_inputs(config):
    first, second, other = (next(network_inputs(load_config(config), seed)) for seed in (0, 0, 1))
    assert torch.equal(first.image, second.image)
    assert not (first.image.shape == other.image.shape and torch.equal(first.image, other.image))


def test_drawing():
    image = np.full((480, 480, 3), 100, np.uint8)
    mask = np.zeros((15, 15))
    mask[10, 10] = 1
    picture = draw_training_image(image, np.float32([[32, 64, 160, 192]]), [1], CLASSES, "day", mask)
    assert picture.shape == (480 + CAPTION_HEIGHT, 480, 3)
    body = picture[CAPTION_HEIGHT:]
    assert tuple(body[120, 32]) == class_colour(1)
    assert tuple(body[120, 100]) == (100, 100, 100)
    expected = 0.65 * 100 + 0.35 * np.array(MASK_COLOUR_BGR)
    np.testing.assert_allclose(body[336, 336], expected, atol=1)
    assert (image == 100).all()


def test_small_images_are_enlarged_with_their_boxes():
    picture = draw_training_image(np.zeros((48, 96, 3), np.uint8), np.float32([[10, 10, 20, 20]]), [0], CLASSES, "")
    assert picture.shape == (48 * 5 + CAPTION_HEIGHT, 96 * 5, 3)
    assert tuple(picture[CAPTION_HEIGHT + 75, 50]) == class_colour(0)
