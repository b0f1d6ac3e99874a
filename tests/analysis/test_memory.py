import cv2
import numpy as np
import pytest
import torch

from ms2a.adaptation.attention import attention_weights, multi_head_attention
from ms2a.analysis.memory import attention_sheet, colour_sheet, prototype_sheet
from ms2a.apis.show_memory import show_memory as show
from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.memory import write_maps
from tests.tiny import make_checkpoint, make_config, make_domains, make_memory, tool

show_memory = tool("tools/show_memory.py")


def test_weights_are_those_that_attention_reads_by():
    query, key, value = torch.randn(2, 5, 8), torch.randn(2, 7, 8), torch.randn(2, 7, 8)
    weights = attention_weights(query, key, 2)
    torch.testing.assert_close(weights.sum(3), torch.ones(2, 2, 5))
    read = [weights[:, head] @ value[..., 4 * head : 4 * head + 4] for head in range(2)]
    torch.testing.assert_close(torch.cat(read, dim=2), multi_head_attention(query, key, value, 2))


def test_every_prototype_has_a_cell_scaled_to_its_own_range():
    maps = np.zeros((3, 4, 10), np.float32)
    maps[1, 0, 0], maps[2, 0, 0] = 1, 1000
    sheet = prototype_sheet({"day": [maps]}, columns=3, width=96)
    assert sheet.dtype == np.uint8 and sheet.shape[1] >= 96
    assert np.array_equal(sheet[22:34, 32:62], sheet[22:34, 64:94])  # equal but for their strength
    assert not np.array_equal(sheet[22:34, 0:30], sheet[22:34, 32:62])


def test_the_most_read_window_is_the_brightest():
    weights = np.full((100, 100), 1e-3, np.float32)
    weights[23, 0] = 0.9
    sheet = attention_sheet(np.zeros((100, 200, 3), np.uint8), weights, [(2, 3)])
    heat = sheet[100:].astype(int).sum(2)
    assert heat[5, 10] > heat[50, 100]


def test_an_image_and_beside_it_its_colours():
    image = np.random.default_rng(0).integers(0, 255, (10, 16, 3), dtype=np.uint8)
    colours = np.stack([np.full((3, 4), value) for value in (30, 60, 90)])
    sheet = colour_sheet(image, colours, columns=2)
    assert sheet.shape == (2 * 12, 2 * 18, 3)
    assert np.array_equal(sheet[:10, :16], image)
    assert (sheet[:10, 18:34] == 30).all() and (sheet[12:22, 18:34] == 90).all()


def test_the_command_draws_prototypes_and_attention(tmp_path, capsys):
    make_domains(tmp_path)
    config = make_config(tmp_path / "two.py", tmp_path, memory=make_memory(tmp_path))
    checkpoint = tmp_path / "two.pth"
    make_checkpoint(checkpoint, make_config(tmp_path / "init.py", tmp_path, memory=make_memory(tmp_path)))
    content = torch.load(checkpoint, weights_only=True)
    for name, value in content["state_dict"].items():
        if ".prototypes" in name:
            value.copy_(torch.randn_like(value))
    torch.save(content, checkpoint)
    colours = tmp_path / "night_colour_cluster.pth"
    write_maps(colours, [torch.linspace(0, 90, 8).expand(2, 3, 8)], {})
    image = tmp_path / "night" / "images" / "001.png"
    show_memory([config, checkpoint, tmp_path / "out", "--img", image, "--colours", colours])
    assert "001, level 3: attention varies by 0." in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"prototypes.png", "001_colours.png", *(f"001_level{level}.png" for level in (1, 2, 3))}
    assert cv2.imread(str(tmp_path / "out" / "001_level1.png")).shape == (4 * 64, 96, 3)
    both = [tmp_path / domain / "images" / "001.png" for domain in ("day", "night")]
    written = [path.name for path in show(load_config(config), checkpoint, tmp_path / "both", both)]
    assert {path.name for path in (tmp_path / "both").iterdir()} == set(written)
    assert written[1:] == [f"001{number}_level{level}.png" for number in ("", "_2") for level in (1, 2, 3)]
    first, second = ((tmp_path / "both" / f"001{number}_level1.png").read_bytes() for number in ("", "_2"))
    assert first != second
    with pytest.raises(UserError, match="unknown domain 'fog'; the memory knows day, night"):
        show_memory([config, checkpoint, tmp_path / "out", "--domain", "fog"])
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"broken\.png is missing or unreadable"):
        show_memory([config, checkpoint, tmp_path / "out", "--img", tmp_path / "broken.png"])
