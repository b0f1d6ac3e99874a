import gc
import itertools
import sys

import pytest

from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.settled import write_config

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
    config.write_text(TEXT + "img_scale = (320, 320)\nimage_size = (64, 96)\nmodel['size'] = '${img_scale}'\n")
    cfg = load_config(config)
    assert (cfg.img_scale, cfg.memory_img_scale, cfg.mosaic_border) == ((64, 96), (64, 96), (-32, -48))
    assert "image_size" not in cfg
    cfg = load_config(config, {"image_size": [96, 128], "memory_img_scale": (64, 64)})
    assert load_config(config, {"model.out_channels": 3, "data.test_dataloader.samples_per_gpu": 2})  # new parts
    assert (cfg.img_scale, cfg.memory_img_scale, cfg.random_size_range) == ((96, 128), (64, 64), (2, 4))
    with pytest.raises(
        UserError, match=r"'image_size' of config .* is 100, expected height and width, multiples of 32, 64 or more"
    ):
        load_config(config, {"image_size": 100})
    config.write_text(TEXT)
    with pytest.raises(UserError, match=r"has no img_scale for image_size=\[64, 96\] to set"):
        load_config(config, {"image_size": [64, 96]})


def test_sizes_given_as_lists_become_the_tuples_that_transforms_want(config):
    config.write_text(TEXT + 'img_scale = (64, 64)\nmodel["scale"] = "${img_scale}"\n')
    assert load_config(config, {"img_scale": [64, 96]}).model.scale == (64, 96)


IMPOSSIBLE = [
    *itertools.product(["img_scale", "memory_img_scale"], [320, [100, 200], [0, 0], [64], "a"]),
    *itertools.product(["batch_size", "test_batch_size", "num_prototypes"], [0, 1.5, "x"]),
    ("workers_per_gpu", -1),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_impossible_sizes_and_numbers_are_told_before_anything_is_built(config, name, value):
    config.write_text(TEXT + f"model['x'] = '${{{name}}}'\n")
    with pytest.raises(UserError, match=f"'{name}' of config .*tiny.py is .*, expected"):
        load_config(config, {name: value})


def test_option_that_does_not_fit(config):
    with pytest.raises(UserError, match="`cfg_options` do not fit"):
        load_config(config, {"data.val.datasets.7.data_root": "x"})


@pytest.mark.parametrize("option", ["data_rots.city", "data_root", "modell", "data.trian.x"])
def test_a_misspelt_option_is_refused_and_a_new_one_taken(config, option):
    with pytest.raises(UserError, match=f"`cfg_options={option}`: .* did you mean '(data_roots|model|train)'"):
        load_config(config, {option: 1})
    assert load_config(config, {"fp16.loss_scale": 512}).fp16.loss_scale == 512


RECIPE = """
img_scale = (64, 96)
lr = 0.1
scaled = "${lr}"
unread = 3
chain = "${unread_too}"
unread_too = 4
optimizer = dict(type="SGD", lr="${lr}")
target_domain = "fog"
"""


def test_an_option_that_nobody_reads_is_told_in_recipes_and_refused_in_settled_configs(config, capsys):
    config.write_text(TEXT + RECIPE + 'transform = "${img_scale}"\nmodel = dict(type="YOLOX", x="${transform}")\n')
    assert load_config(config, {"lr": 0.2}).optimizer.lr == 0.2
    assert load_config(config, {"image_size": [96, 128]}).model.x == (96, 128)
    assert load_config(config, {"target_domain": "rain", "data_roots.city": "x", "memory_img_scale": (64, 64)})
    for option in ("new_one", "new.one"):
        with pytest.raises(UserError, match=f"`cfg_options={option}`: nothing in config .*tiny.py reads 'new"):
            load_config(config, {option: 1})
    assert capsys.readouterr().err == ""
    for option in ("unread", "chain", "unread_too", "scaled"):
        load_config(config, {option: 1})
        told = f"warning: --cfg-options {option}: nothing in config {config} reads '{option}'"
        assert capsys.readouterr().err.startswith(told)
    write_config(load_config(config), config.with_name("settled.py"))
    settled = config.with_name("settled.py")
    assert load_config(settled, {"optimizer.lr": 0.3}).optimizer.lr == 0.3
    with pytest.raises(UserError, match="`cfg_options=lr`: nothing in config .* reads 'lr'; set optimizer.lr instead"):
        load_config(settled, {"lr": 0.2})
    for option in ("image_size", "target_domain", "data_roots.city"):
        with pytest.raises(UserError, match=f"`cfg_options={option}`: nothing in config"):
            load_config(settled, {option: [96, 128] if option == "image_size" else "x"})


WRONG = {
    "model = None": "'model' is None, expected a dictionary",
    "model = dict()": "'model.type' is missing",
    "model = dict(type=3)": "'model.type' is 3",
    "model['bbox_head'] = dict(type='A', num_classes='1')": "'model.bbox_head.num_classes' is '1', expected a v",
    "model['adapter'] = dict(type='A')": "'model.adapter.memory' is missing",
    "model['test_cfg'] = dict(score_thr=float('nan'))": "'model.test_cfg.score_thr' is nan, expected",
    "data = 3": "'data' is 3, expected a dictionary",
    "del data['val']": "'data.val' is missing",
    "data['samples_per_gpu'] = 0": "'data.samples_per_gpu' is 0, expected greater than or equal to 1",
    "data['samples_per_gpu'] = '4'": "'data.samples_per_gpu' is '4', expected a valid integer",
    "data['samples_per_gpu'] = True": "'data.samples_per_gpu' is True, expected a valid integer",
    "data['workers_per_gpu'] = -1": "'data.workers_per_gpu' is -1",
    "data['train'] = dict(type='DomainCocoDataset', domain='a')": "is a DomainCocoDataset without 'ann_file'",
    "data['train'] = dict(type='DomainCocoDataset', ann_file='a')": "without 'domain'; add it",
    "data['train'] = dict(pipeline=[dict(x=1)])": "'data.train.pipeline.0.type' is missing",
    "data['train'] = dict(classes=[1])": "'data.train.classes' is .1., expected a list of names or one name",
    "runner['max_epochs'] = 'x'": "'runner.max_epochs' is 'x', expected a valid integer",
    "runner['max_epochs'] = float('inf')": "'runner.max_epochs' is inf",
    "optimizer = dict(type='SGD', lr=float('nan'))": "'optimizer.lr' is nan, expected",
    "optimizer = dict(type='SGD', lr='0.1')": "'optimizer.lr' is '0.1', expected a valid number",
    "custom_hooks = [dict(priority=3)]": "'custom_hooks.0.type' is missing",
    "custom_hooks = [dict(type='A', priority='NOPE')]": "'custom_hooks.0.priority' is 'NOPE', expected a whole",
    "log_level = 'NOPE'": "'log_level' is 'NOPE', expected 'CRITICAL', 'ERROR'",
    "seed = -1": "'seed' is -1, expected greater",
    "seed = 2**40": "'seed' is 1099511627776, expected less than",
    "fp16 = dict(loss_scale='x')": "'fp16.loss_scale' is 'x', expected a number above 0",
    "workflow = [('nope', 1)]": "'workflow.0.0' is 'nope', expected 'train' or 'val'",
    "load_from = 'x' * 9999; seed = load_from": "'seed' is 'xxxx",
}


@pytest.mark.parametrize("change", WRONG)
def test_values_of_the_wrong_kind_are_told_with_place_and_file(config, change):
    config.write_text(TEXT + change + "\n")
    with pytest.raises(UserError, match=f"config .*tiny.py: .*{WRONG[change]}") as error:
        load_config(config)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_many_mistakes_are_counted(config):
    config.write_text(TEXT + "data['train'] = dict(pipeline=[dict()] * 50)\n")
    with pytest.raises(UserError, match="pipeline.3.type' is missing; add it; and 46 more"):
        load_config(config)


def test_memory_files_that_are_not_named_are_those_that_stage_one_writes(config):
    task = 'memory_dir = "memory"\nsource_domain, target_domain = "city", "fog"\n'
    config.write_text(
        TEXT
        + task
        + 'model["style"] = "${style_file}"\nmemory_files = dict(fog="mine.pth")\nstyle_domain = "${source_domain}"\n'
    )
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
