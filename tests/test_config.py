import gc
import itertools
import sys

import pytest

from ms2a.config import load_config
from ms2a.errors import UserError

TEXT = """
data_roots = dict(city="data/city", night_drive="data/night", elsewhere="/mnt/elsewhere")
scales = ((64, 64), (128, 96))
model = dict(type="YOLOX", sizes="${scales}")
data = dict(
    samples_per_gpu=3,
    workers_per_gpu=1,
    train=dict(ann_file="${data_roots.city}/train.json", img_prefix="${data_roots.city}"),
    val=dict(datasets=[dict(data_root="${data_roots.night_drive}"), dict(data_root="${data_roots.elsewhere}")]),
    test=dict(data_root="${data_roots.night_drive}"),
)
runner = dict(type="EpochBasedRunner", max_epochs=2)
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(TEXT)
    return path


def test_references_are_filled_and_the_file_name_and_tuples_kept(config):
    cfg = load_config(config)
    assert cfg.filename == str(config)
    assert cfg.data.train.ann_file == "data/city/train.json"
    assert cfg.model.sizes == ((64, 64), (128, 96))
    assert isinstance(cfg.model.sizes, tuple) and isinstance(cfg.model.sizes[0], tuple)
    assert cfg.data.train_dataloader.samples_per_gpu == 3


def test_references_inside_what_is_filled_in(config):
    config.write_text(TEXT + 'source = dict(data_root="${data_roots.city}")\nsets = ["${source}"]\nlast = "${sets}"\n')
    assert load_config(config).last == [dict(data_root="data/city")]


def test_references_in_a_circle(config):
    config.write_text(TEXT + 'first = "${second}"\nsecond = "${first}"\n')
    with pytest.raises(UserError, match="circle"):
        load_config(config)


def test_common_environment_variable_replaces_the_leading_data_folder_only(config, monkeypatch):
    monkeypatch.setenv("MS2A_DATA_ROOT", "/big/disk")
    cfg = load_config(config)
    assert cfg.data.train.img_prefix == "/big/disk/city"
    assert cfg.data.val.datasets[0].data_root == "/big/disk/night"
    assert cfg.data.val.datasets[1].data_root == "/mnt/elsewhere"


def test_own_environment_variable_wins_over_the_common_one_and_an_option_over_both(config, monkeypatch):
    monkeypatch.setenv("MS2A_DATA_ROOT", "/big/disk")
    monkeypatch.setenv("MS2A_DATA_ROOT_NIGHT_DRIVE", "/fast/night")
    assert load_config(config).data.test.data_root == "/fast/night"
    cfg = load_config(config, {"data_roots.night_drive": "here"})
    assert cfg.data.test.data_root == cfg.data.val.datasets[0].data_root == "here"


def test_an_option_inside_a_list_of_data_sets(config):
    cfg = load_config(config, {"data.val.datasets.1.data_root": "x"})
    assert [item.data_root for item in cfg.data.val.datasets] == ["data/night", "x"]


def test_missing_config(tmp_path):
    with pytest.raises(UserError, match=r"config .*nothing\.py does not exist"):
        load_config(tmp_path / "nothing.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT[: TEXT.index("val=")], "SyntaxError"),
        (TEXT[: TEXT.index("data = dict")], "has no data; is it truncated"),
        ("_base_ = './gone.py'\n", "gone.py"),
        ("model = undefined_name\n", "NameError"),
        ("", "has no model and no data"),
    ],
)
def test_truncated_or_invalid_config(tmp_path, content, message):
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_config_leaves_nothing_behind(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("model = undefined_name\n")
    before = list(sys.path)
    with pytest.raises(UserError):
        load_config(path)
    gc.collect()
    assert sys.path == before


def test_unknown_reference_names_the_place_and_the_known_keys(config):
    config.write_text(TEXT.replace('test=dict(data_root="${data_roots.night_drive}")', 'test="${data_roots.fog}/x"'))
    with pytest.raises(UserError, match=r"data\.test refers to \$\{data_roots\.fog\}.*city, elsewhere, night_drive"):
        load_config(config)


def test_image_size_sets_what_follows_from_it_and_an_option_of_its_own_wins(config):
    config.write_text(TEXT + "img_scale = (320, 320)\nimage_size = (64, 96)\n")
    cfg = load_config(config)
    assert (cfg.img_scale, cfg.memory_img_scale, cfg.mosaic_border) == ((64, 96), (64, 96), (-32, -48))
    assert "image_size" not in cfg
    cfg = load_config(config, {"image_size": [96, 128], "memory_img_scale": (64, 64)})
    assert (cfg.img_scale, cfg.memory_img_scale, cfg.random_size_range) == ((96, 128), (64, 64), (2, 4))
    with pytest.raises(
        UserError, match=r"'image_size' of config .* is 100, expected height and width, multiples of 32, 64 or more"
    ):
        load_config(config, {"image_size": 100})
    config.write_text(TEXT)
    with pytest.raises(UserError, match=r"has no img_scale for image_size=\[64, 96\] to set"):
        load_config(config, {"image_size": [64, 96]})


def test_sizes_given_as_lists_become_the_tuples_that_transforms_want(config):
    config.write_text(TEXT + 'img_scale = (64, 64)\nscale = "${img_scale}"\n')
    assert load_config(config, {"img_scale": [64, 96]}).scale == (64, 96)


IMPOSSIBLE = [
    *itertools.product(["img_scale", "memory_img_scale"], [320, [100, 200], [0, 0], [64], "a"]),
    *itertools.product(["batch_size", "test_batch_size", "num_prototypes"], [0, 1.5, "x"]),
    ("workers_per_gpu", -1),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_impossible_sizes_and_numbers_are_told_before_anything_is_built(config, name, value):
    with pytest.raises(UserError, match=f"'{name}' of config .*tiny.py is .*, expected"):
        load_config(config, {name: value})


def test_option_that_does_not_fit(config):
    with pytest.raises(UserError, match="`cfg_options` do not fit"):
        load_config(config, {"data.val.datasets.7.data_root": "x"})


@pytest.mark.parametrize("option", ["data_rots.city", "data_root", "modell"])
def test_a_misspelt_option_is_refused_and_a_new_one_taken(config, option):
    with pytest.raises(UserError, match=f"`cfg_options={option}`: .* did you mean '(data_roots|model)'"):
        load_config(config, {option: 1})
    assert load_config(config, {"fp16.loss_scale": 512}).fp16.loss_scale == 512


def test_memory_files_that_are_not_named_are_those_that_stage_one_writes(config):
    task = 'memory_dir = "memory"\nsource_domain, target_domain = "city", "fog"\n'
    config.write_text(TEXT + task + 'memory_files = dict(fog="mine.pth")\nstyle_domain = "${source_domain}"\n')
    cfg = load_config(config)
    assert cfg.memory_files == dict(city="memory/city_cluster.pth", fog="mine.pth")
    assert cfg.style_file == "memory/city_style_cluster.pth" and "colour_file" not in cfg
    cfg = load_config(config, {"memory_dir": "other", "style_file": "own.pth", "memory_files": None})
    assert (cfg.memory_files, cfg.style_file) == (None, "own.pth")


def test_an_unknown_kind_of_prototype_is_told_with_the_known_ones(config):
    config.write_text(
        TEXT + 'memory_dir = "memory"\nmemory_files = dict()\nsource_domain = "city"\nprototype = "vectr"\n'
    )
    with pytest.raises(UserError, match="'vectr', expected one of map, vector, style, colour"):
        load_config(config)
