"""Memory-guided colours: quantiles and matching against slow references, what is drawn, what is refused."""

import numpy as np
import pytest
import torch

from ms2a.datasets import ColourQuantiles, MemoryColour
from ms2a.datasets.memory_colour import NUM_QUANTILES, colour_quantiles, match_quantiles
from ms2a.errors import UserError
from ms2a.memory import write_maps


@pytest.fixture
def dark():
    """Quantiles of three kinds of dark images, (3, 3, Q)."""
    rng = np.random.default_rng(0)
    return np.stack([colour_quantiles(rng.integers(0, top, (32, 48, 3), dtype=np.uint8)) for top in (20, 40, 60)])


@pytest.fixture
def file(tmp_path, dark):
    write_maps(tmp_path / "night_colour_cluster.pth", [torch.from_numpy(dark)], {})
    return tmp_path / "night_colour_cluster.pth"


@pytest.fixture
def bright():
    return np.random.default_rng(1).integers(150, 250, (40, 64, 3), dtype=np.uint8)


def test_quantiles_against_sorting(bright):
    found = colour_quantiles(bright)
    for channel in range(3):
        values = np.sort(bright[..., channel], axis=None)
        # The smallest value that the wanted share of all pixels does not exceed.
        steps = [values[int(np.ceil((i + 0.5) / NUM_QUANTILES * len(values))) - 1] for i in range(NUM_QUANTILES)]
        assert found[channel].tolist() == steps


def test_matching_against_ranking_every_pixel(bright, dark):
    found = match_quantiles(bright, dark[1])
    for channel in range(3):
        values = bright[..., channel].ravel()
        for value in np.unique(values)[::17]:
            darker = ((values < value).sum() + 0.5 * (values == value).sum()) / len(values)
            wanted = np.interp(darker, (np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES, dark[1][channel])
            assert (found[..., channel].ravel()[values == value] == np.rint(wanted)).all()


def test_a_matched_image_has_the_wanted_quantiles_and_its_own_stay(bright, dark):
    assert np.abs(colour_quantiles(match_quantiles(bright, dark[2])) - dark[2]).max() <= 2
    assert np.abs(match_quantiles(bright, colour_quantiles(bright)).astype(int) - bright).max() <= 2
    assert np.array_equal(match_quantiles(bright, dark[2], share=0.0), bright)


def test_an_image_of_one_value_and_a_flat_histogram_are_fine():
    flat = np.full((4, 5, 3), 9, np.uint8)
    assert (match_quantiles(flat, np.full((3, NUM_QUANTILES), 77.0)) == 77).all()


def test_images_take_the_colours_of_the_memory(file, bright):
    np.random.seed(0)
    colour = MemoryColour(file, prob=1.0)
    found = [colour(dict(img=bright, gt_bboxes="kept")) for _ in range(50)]
    assert found[0]["gt_bboxes"] == "kept" and found[0]["img"].dtype == np.uint8
    means = [result["img"].mean() for result in found]
    assert max(means) < 0.5 * (200 + 30) + 2 and min(means) < 40  # between half of the way and all of it


def test_the_share_of_recoloured_images(file, bright):
    np.random.seed(0)
    colour = MemoryColour(file, prob=0.25)
    assert 0.15 < np.mean([colour(dict(img=bright))["img"] is not bright for _ in range(200)]) < 0.35


def test_where_no_image_is_recoloured_the_file_need_not_be_there(bright, tmp_path):
    np.random.seed(0)
    colour = MemoryColour(tmp_path / "none.pth", prob=0)
    assert colour(dict(img=bright))["img"] is bright
    first = np.random.rand()
    np.random.seed(0)
    assert np.random.rand() == first  # nor is anything drawn


def test_random_colours_keep_mean_and_variance_and_nothing_else(file, dark):
    found = MemoryColour(file, prototypes="random").colours
    assert found.mean() == pytest.approx(dark.mean(), rel=0.1) and found.std() == pytest.approx(dark.std(), rel=0.1)
    assert (np.diff(found) >= 0).all()
    assert not np.allclose(found, dark, atol=5)
    assert np.array_equal(found, MemoryColour(file, prototypes="random").colours)


def test_wrong_values_and_files_are_refused(file, tmp_path):
    with pytest.raises(UserError, match="expected 'stored' or 'random'"):
        MemoryColour(file, prototypes="none")
    with pytest.raises(UserError, match="prob=1.5.*a share from 0 to 1"):
        MemoryColour(file, prob=1.5)
    write_maps(tmp_path / "maps.pth", [torch.zeros(3, 4, 6)], {})
    with pytest.raises(UserError, match="maps of 4x6.*`prototype='colour'`"):
        MemoryColour(tmp_path / "maps.pth")


def test_the_transform_puts_quantiles_in_the_images_place(bright):
    found = ColourQuantiles()(dict(img=bright, domain="night"))
    assert found["domain"] == "night"
    assert torch.equal(found["img"], torch.from_numpy(colour_quantiles(bright)))
