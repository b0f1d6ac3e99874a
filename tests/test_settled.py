"""Settled configs: any text comes back as it was, and none is code."""

import math
from pathlib import Path

import numpy as np
import pytest
from mmcv import Config

import ms2a.plugin  # noqa: F401
from ms2a.config import load_config, open_config, settle
from ms2a.config_references import literal
from ms2a.errors import UserError
from ms2a.settled import config_text, write_config

REST = "data = dict(train=dict(), val=dict(), test=dict())\nrunner = dict(type='R', max_epochs=1)\n"
HOSTILE = [
    "o'b",
    'a"b',
    "back\\slash\\",
    "line\nbreak\r\n",
    "{braces}",
    "${model}",
    "${data.train.x}",
    "${nothing}",
    "$${model} $\ue000{model}",
    "{{ fileDirname }}",
    "{{_base_.model}}",
    "{{{{fileBasename}}}}",
    "# comment",
    "a\x00b\x1b",
    "\udcff undecodable",
    "ümläut 部品",
    "'+str(1)+'",
    '"""',
]


def settled(tmp_path, **more):
    path = tmp_path / "first.py"
    path.write_text("model = dict(type='YOLOX')\n" + REST)
    return settle(open_config(path, settings=literal(more)))


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_back_as_it_was_wherever_it_stands(tmp_path, text):
    folder = tmp_path / "{{ fileBasename }} o'b"
    cfg = settled(tmp_path, top=text, nested=dict(list=[text, (text,)], deep={"a": {"b": text}}), **{"data.x": text})
    assert cfg.top == cfg.nested.deep.a.b == cfg.data.x == text
    for name in ("one.py", "two.py"):  # the second is made from the first
        write_config(cfg, folder / name)
        again = load_config(folder / name)
        assert again._cfg_dict.to_dict() == cfg._cfg_dict.to_dict()
        assert again.nested.list == [text, (text,)] and isinstance(again.nested.list[1], tuple)
        assert config_text(again) == config_text(cfg)
        cfg = again


def test_a_text_is_never_run(tmp_path):
    marker = tmp_path / "marker"
    run = f"open({str(marker)!r}, 'w')"
    for text in (f"' + str({run}) + '", f'" + str({run}) + "', f"'\n{run}\n'", f"\\'\n{run}\n#"):
        write_config(settled(tmp_path, name=text, keys={text: {text: text}}), tmp_path / "settled.py")
        cfg = load_config(tmp_path / "settled.py")
        assert cfg.name == text and cfg["keys"][text] == {text: text}
    assert not marker.exists()


def test_the_name_of_a_configs_folder_is_never_run(tmp_path):
    marker = tmp_path / "marker"
    folder = tmp_path / f"a', open({str(marker)!r}.replace('-', chr(47)), 'w'), '".replace("/", "-")
    folder.mkdir()
    text = "model = dict(type='YOLOX', here=['{{ fileDirname }}', \"{{fileBasenameNoExtension}}\"])\n" + REST
    (folder / "o'b.py").write_text(text)
    assert load_config(folder / "o'b.py").model.here == [str(folder), "o'b"]
    assert not marker.exists()


def test_every_kind_of_plain_value(tmp_path):
    value = dict(a=1, b=1.5, c=-math.inf, d=None, e=True, f=(), g=[], h={}, i=(1,), j={1: 2, None: 3}, k=1e-300)
    cfg = settled(tmp_path, value=value)
    write_config(cfg, tmp_path / "settled.py")
    assert repr(load_config(tmp_path / "settled.py")._cfg_dict.to_dict()["value"]) == repr(value)
    cfg.value = dict(array=np.float32(0.1), count=np.int64(3))
    write_config(cfg, tmp_path / "settled.py")
    assert load_config(tmp_path / "settled.py").value == dict(array=float(np.float32(0.1)), count=3)


@pytest.mark.parametrize("value", [math.nan, {1}, Path("x"), b"x", len, object()])
def test_what_cannot_be_written_down_is_refused_with_its_place(tmp_path, value):
    cfg = settled(tmp_path)
    cfg.data.train = dict(deep=[0, 1])
    cfg._cfg_dict["data"]["train"]["deep"][1] = value
    with pytest.raises(UserError, match=r"first\.py: data\.train\.deep\.1 is .*; expected a number, a text") as error:
        write_config(cfg, tmp_path / "settled.py")
    assert "\n" not in str(error.value) and not (tmp_path / "settled.py").exists()


@pytest.mark.parametrize("key", ["a-b", "in", "a b", "1", "__hidden", "x\n"])
def test_a_key_that_is_no_name_is_refused(tmp_path, key):
    cfg = settled(tmp_path)
    cfg._cfg_dict[key] = 1
    with pytest.raises(UserError, match="no name of Python|read back as None"):
        write_config(cfg, tmp_path / "settled.py")
    assert not (tmp_path / "settled.py").exists()


def test_classes_that_a_config_imports_are_no_part_of_it(tmp_path):
    (tmp_path / "first.py").write_text("from pathlib import Path\nmodel = dict(type=str(Path('YOLOX')))\n" + REST)
    cfg = load_config(tmp_path / "first.py")
    write_config(cfg, tmp_path / "settled.py")
    assert load_config(tmp_path / "settled.py").model == dict(type="YOLOX")


def test_references_are_filled_in_once_and_stock_reading_gives_the_same(tmp_path):
    (tmp_path / "source.py").write_text(
        "model = dict(type='YOLOX', path='${root}/x')\nsource = 'taken'\nroot = None\n" + REST
    )
    cfg = load_config(tmp_path / "source.py", {"root": literal("/a/${source}")})
    assert cfg.model.path == "/a/${source}/x"
    write_config(cfg, tmp_path / "settled.py")
    assert load_config(tmp_path / "settled.py").model.path == "/a/${source}/x"
    assert Config.fromfile(tmp_path / "settled.py").model.path == "/a/${source}/x"
