import ast
from functools import cache
from pathlib import Path

import pytest
import torch
from mmcv.runner import EpochBasedRunner, build_optimizer
from mmcv.utils import build_from_cfg
from mmdet.datasets import PIPELINES, build_dataset
from mmdet.models import build_detector
from mmdet.utils import get_root_logger

from ms2a.config import load_config
from ms2a.engine.hooks import ModeSwitchHook
from ms2a.errors import UserError
from ms2a.storage.image_batches import memory_pipeline
from tests.tiny import make_coco

CONFIGS = Path(__file__).parents[1] / "configs"
LEAVES = sorted(path.stem for path in (CONFIGS / "yolox").glob("*.py"))
X = "yolox_fs_x_640x640_50e_"
SYNTH = "yolox_fs_n_128x320_indus_synth_"

STOCK, SOFT = ("nms", 0.6), ("soft_nms", 0.5)
SMALL, LARGE = ((640, 640), (15, 25)), ((1280, 1280), (36, 44))
CITY = ("person", "car", "rider", "bicycle", "truck", "motorcycle", "train", "bus")
EIGHT, CAR, PART = (CITY, 80), (("car",), 100), (("part",), 100)
FOGGY, KITTI, SIM10K = ("cityscapes", "foggy_cityscapes"), ("kitti", "cityscapes"), ("sim10k", "cityscapes")
T1, T2 = ("indus_s", "indus_t1"), ("indus_s", "indus_t2")

# The recipes of stage II: (source, target), (classes, K), lr, epochs, last ones, batch, repeats of source and target,
# (input, steps of 32 in multi-scale training), NMS, multipliers of backbone and neck and of the residuals, warm-up
# ratio.
STAGE2 = {
    "cityscapes_pretrain_mom": (FOGGY, EIGHT, 1e-3, 50, 10, 2, (1, 8), SMALL, STOCK, 1, 0.2, 1),
    "kitti_pretrain_mom": (KITTI, CAR, 2e-3, 50, 5, 2, (1, 10), SMALL, SOFT, 1, 1, 1),
    "sim10k_pretrain_mom": (SIM10K, CAR, 2e-3, 50, 5, 2, (1, 10), SMALL, SOFT, 1, 1, 1),
    "Indus_S_T1_pretrain_mom": (T1, PART, 1e-3, 50, 5, 1, (1, 10), LARGE, SOFT, 1, 1, 1),
    "Indus_S_T2_pretrain_mom": (T2, PART, 1e-3, 50, 5, 1, (1, 10), LARGE, SOFT, 1, 1, 1),
    "cityscapes_pretrain_mom_ft": (FOGGY, EIGHT, 1e-4, 20, 5, 4, (1, 10), SMALL, SOFT, 0.3, 1, 0.1),
    "kitti_pretrain_mom_ft": (KITTI, CAR, 3e-4, 20, 5, 8, (1, 10), SMALL, SOFT, 0.8, 0.2, 1),
    "sim10k_pretrain_mom_ft": (SIM10K, CAR, 3e-4, 20, 5, 4, (1, 15), SMALL, SOFT, 1, 0.4, 1),
}
for shots in (10, 30, 50):
    STAGE2[f"Indus_S_T1_{shots}_pretrain_mom_ft"] = (T1, PART, 2e-4, 20, 5, 2, (1, 8), LARGE, SOFT, 0.4, 0.2, 1)
    STAGE2[f"Indus_S_T2_{shots}_pretrain_mom_ft"] = (T2, PART, 1e-4, 20, 5, 2, (1, 6), LARGE, SOFT, 0.1, 1, 1)
BASE = {"18_base": PART, "Indus_S_base": PART, "cityscapes_base": EIGHT, "kitti_base": CAR, "sim10k_base": CAR}


def load(name, **options):
    return load_config(CONFIGS / "yolox" / f"{name}.py", options)


unchanged = cache(load)  # for tests that only look at the config
_models = {}


def build(cfg):
    """The detector at full size, without spending memory on its weights; equal detectors are built once."""
    key = repr(cfg.model)
    if key not in _models:
        with torch.device("meta"):
            _models[key] = build_detector(cfg.model)
    return _models[key]


def assignments(path):
    """Top-level names and their source nodes in a config file."""
    tree = ast.parse(path.read_text())
    return {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}


def depth(path):
    bases = ast.literal_eval(assignments(path).get("_base_", ast.Constant([])))
    bases = [bases] if isinstance(bases, str) else bases
    return 1 + max((depth((path.parent / base).resolve()) for base in bases), default=0)


def recipe(cfg):
    keys = cfg.optimizer.paramwise_cfg.custom_keys
    assert keys.backbone == keys.neck
    domains = cfg.data.train.domains
    memory = cfg.model.adapter.memory
    return (
        tuple(item.dataset.domain for item in domains),
        (tuple(domains[0].dataset.classes), memory.num_prototypes),
        cfg.optimizer.lr,
        cfg.runner.max_epochs,
        cfg.lr_config.num_last_epochs,
        cfg.data.train_dataloader.samples_per_gpu,
        tuple(item.times for item in domains),
        (cfg.model.input_size, cfg.model.random_size_range),
        (cfg.model.test_cfg.nms.type, cfg.model.test_cfg.nms.iou_threshold),
        keys.backbone.lr_mult,
        keys.residual.lr_mult,
        cfg.lr_config.warmup_ratio,
    )


def scaling_of(pipeline):
    return next(step.scaling_ratio_range for step in pipeline if step.type == "RandomAffine")


def test_every_documented_name_exists():
    assert {f"{X}{name}" for name in [*BASE, *STAGE2]} == {name for name in LEAVES if name.startswith(X)}
    small = ["base"]
    for target in ("t1", "t2"):
        small.append(f"{target}_pretrain_mom")
        small += [f"{target}_{shots}_pretrain_mom_ft" for shots in (10, 30, 50)]
    assert {f"{SYNTH}{name}" for name in small} <= set(LEAVES)


@pytest.mark.parametrize("name", STAGE2)
def test_stage_two_recipe(name):
    cfg = unchanged(X + name)
    assert recipe(cfg) == STAGE2[name]
    assert scaling_of(cfg.data.train.pipeline) == (0.5, 2)
    target_training = name.endswith("_ft")
    assert cfg.data.train.domains[0].dataset.get("num_images") == (64 if target_training else None)
    annotated = next((int(part) for part in name.split("_") if part.isdigit()), 10 if "Indus" in name else 8)
    assert cfg.data.train.domains[1].dataset.ann_file.endswith(f"_{annotated}.json")


@pytest.mark.parametrize("name", BASE)
def test_base_recipe(name):
    cfg = unchanged(X + name)
    classes, _ = BASE[name]
    assert cfg.data.train.dataset.classes == classes
    assert (cfg.optimizer.lr, cfg.runner.max_epochs, cfg.lr_config.num_last_epochs) == (1e-3, 70, 10)
    assert cfg.data.train_dataloader.samples_per_gpu == 1
    assert (cfg.model.input_size, cfg.model.random_size_range) == LARGE
    assert (cfg.model.test_cfg.nms.type, cfg.model.test_cfg.nms.iou_threshold) == STOCK
    assert [step.type for step in cfg.data.train.pipeline[:3]] == ["Mosaic", "RandomAffine", "MixUp"]
    assert scaling_of(cfg.data.train.pipeline) == (0.1, 2)
    assert cfg.load_from == "checkpoints/yolox_x_8x8_300e_coco_20211126_140254-1ef88d67.pth"
    assert "adapter" not in cfg.model and "foreground" not in cfg.model


def test_the_older_name_is_the_same_recipe():
    old, new = load(f"{X}18_base"), load(f"{X}Indus_S_base")
    assert old._cfg_dict == new._cfg_dict


@pytest.mark.parametrize("name", LEAVES)
def test_leaf_is_shallow(name):
    assert depth(CONFIGS / "yolox" / f"{name}.py") <= 3


def test_no_config_names_a_place_on_a_machine():
    files = list(CONFIGS.rglob("*.py"))
    assert len(files) > len(LEAVES)
    for path in files:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        inside = [part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values[1:]]
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
                assert not node.value.startswith(("/", "~", "\\")) and node.value[1:3] != ":\\", (path, node.value)


@pytest.mark.parametrize("name", LEAVES)
def test_leaf_builds_at_full_size(name):
    cfg = unchanged(name)
    model = build(cfg)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    expected = {("x", False): (98, 100), ("x", True): (105, 108), ("n", False): (2, 2.5), ("n", True): (2, 3.5)}
    expected |= {("nano", False): (0.8, 1), ("nano", True): (1.5, 2.5)}
    low, high = expected[name.split("_")[2], "mom" in name]
    assert low < millions < high
    assert model.bbox_head.num_classes == len(cfg.classes)
    losses = (
        (model.bbox_head.loss_cls, "VarifocalLoss", 1),
        (model.bbox_head.loss_obj, "VarifocalLoss", 1),
        (model.bbox_head.loss_bbox, "CIoULoss", 2),
        (model.bbox_head.loss_l1, "SmoothL1Loss", 1),
    )
    for loss, kind, weight in losses:
        assert (type(loss).__name__, loss.loss_weight, loss.reduction) == (kind, weight, "sum")
    assert model.bbox_head.assigner.center_radius == 2.5
    assert model.bbox_head.test_cfg.score_thr == 0.01 and model.bbox_head.test_cfg.max_per_img == 100
    if "mom" in name:
        assert model.domains == [cfg.source_domain, cfg.target_domain] and model.default_domain == cfg.target_domain
        assert [level.layers[0].query for level in model.adapter.levels] == ["feature"] * 3
        assert (type(model.foreground.mask_loss).__name__, model.foreground.mask_loss.loss_weight) == ("DiceLoss", 2)
        height, width = cfg.memory_img_scale
        assert cfg.memory_sizes_hw == [(height // stride, width // stride) for stride in (8, 16, 32)]
        assert len(model.alignment) == 0
    else:
        assert model.adapter is None and model.foreground is None


@pytest.mark.parametrize("name", LEAVES)
def test_parameter_groups(name):
    cfg = unchanged(name)
    model = build(cfg)
    optimizer = build_optimizer(model, cfg.optimizer)
    if name.startswith("yolox_fs_x"):
        assert type(optimizer) is torch.optim.SGD
        assert optimizer.defaults["nesterov"] and optimizer.defaults["momentum"] == 0.9
    else:
        assert type(optimizer) is torch.optim.AdamW
    weight_decay = 5e-4 if name.startswith("yolox_fs_x") else 0.02
    group_of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    multipliers = {"backbone": cfg.backbone_neck_lr_mult, "neck": cfg.backbone_neck_lr_mult}
    for key, parameter in model.named_parameters():
        part = "residual" if ".residual" in key else key.split(".")[0]
        group = group_of[id(parameter)]
        expected = {**multipliers, "residual": cfg.residual_lr_mult}.get(part, 1)
        assert group["lr"] == pytest.approx(cfg.lr * expected), key
        plain = key.endswith(".bias") or ".bn." in key
        assert group["weight_decay"] == (0 if plain else weight_decay), key
    assert any(".residual" in key for key, _ in model.named_parameters()) == ("mom" in name)


@pytest.mark.parametrize("name", LEAVES)
def test_hooks_and_schedule_build(name, tmp_path):
    cfg = unchanged(name)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1)
    runner = EpochBasedRunner(build(cfg), optimizer=optimizer, work_dir=str(tmp_path), logger=get_root_logger())
    runner.register_training_hooks(
        cfg.lr_config, cfg.optimizer_config, cfg.checkpoint_config, cfg.log_config, custom_hooks_config=cfg.custom_hooks
    )
    order = [type(hook).__name__ for hook in runner.hooks]
    assert order[:5] == ["YOLOXLrUpdaterHook", "OptimizerHook", "ModeSwitchHook", "SyncNormHook", "MemoryEMAHook"]
    switch = next(hook for hook in runner.hooks if isinstance(hook, ModeSwitchHook))
    mixing = {"CrossDomainCopyPaste", "SameDomainMosaic", "Mosaic", "RandomAffine", "MixUp"}
    assert mixing <= set(switch.skip_type_keys)
    assert switch.num_last_epochs == cfg.lr_config.num_last_epochs
    assert next(hook.momentum for hook in runner.hooks if type(hook).__name__ == "MemoryEMAHook") == 1e-4
    # mmdet's cosine divides by what is left between warm-up and the last epochs.
    assert cfg.runner.max_epochs > cfg.lr_config.warmup_iters + cfg.lr_config.num_last_epochs
    assert cfg.fp16 == dict(loss_scale="dynamic")
    assert "save_best" not in cfg.evaluation


@pytest.mark.parametrize("name", LEAVES)
def test_stages_form_a_chain_with_one_class_list(name):
    cfg = unchanged(name)
    if "mom" not in name:
        assert "previous" not in cfg
        return
    previous = unchanged(cfg.previous)
    assert cfg.load_from == f"work_dirs/{cfg.previous}/latest.pth"
    assert ("adapter" in previous.model) == name.endswith("_ft")
    assert previous.classes == cfg.classes and previous.source_domain == cfg.source_domain
    sets = [item.dataset for item in cfg.data.train.domains] + list(cfg.data.test.datasets)
    assert {item.classes for item in sets} == {cfg.classes}
    assert [item.domain for item in sets] == [*cfg.model.adapter.memory.domains, cfg.target_domain, cfg.source_domain]
    assert set(cfg.memory_images) == {cfg.source_domain, cfg.target_domain}
    if name.endswith("_ft"):
        assert previous.target_domain == cfg.target_domain and previous.memory_files is not None
        assert cfg.model.adapter.memory.files is None
    else:
        files = cfg.model.adapter.memory.files
        assert files == {name: f"work_dirs/{cfg.previous}/memory/{name}_cluster.pth" for name in cfg.memory_images}


@pytest.mark.parametrize("name", LEAVES)
def test_one_relative_root_per_data_set_moves_everything(name, monkeypatch):
    monkeypatch.setenv("MS2A_DATA_ROOT", "/elsewhere")
    cfg = load(name)
    train = cfg.data.train
    sets = [item.dataset for item in train.domains] if "domains" in train else [train.dataset]
    for item in [*sets, *cfg.data.val.datasets, *cfg.data.test.datasets]:
        assert item.data_root.startswith("/elsewhere/")
        assert not Path(item.ann_file).is_absolute() and not Path(item.img_prefix).is_absolute()
    for images in cfg.get("memory_images", {}).values():
        assert all(path.startswith("/elsewhere/") for path in images.values())


@pytest.mark.parametrize("name", LEAVES)
def test_pipelines_build(name):
    cfg = unchanged(name)
    size_hw = cfg.model.input_size
    for step in [*cfg.data.train.pipeline, *cfg.data.test.pipeline, *cfg.load_pipeline]:
        build_from_cfg(step, PIPELINES)
    steps = {step.type: step for step in cfg.data.train.pipeline}
    assert steps["Pad"].size == size_hw
    # Mosaic doubles the canvas, and the affine transform cuts it back.
    skipped = cfg.data.train.get("skip_type_keys") or ()
    doubled = any("Mosaic" in step and step not in skipped for step in steps)
    assert steps["RandomAffine"].border == ((-size_hw[0] // 2, -size_hw[1] // 2) if doubled else (0, 0))
    assert "domain" in steps["Collect"].meta_keys


@pytest.mark.parametrize("stage", ["base", "pretrain_mom", "pretrain_mom_ft"])
def test_the_network_is_fed_the_input_size_from_own_data(stage, tmp_path):
    classes = ("nut", "bolt")
    options = dict(classes=classes, num_classes=2)
    for side, names in (("source", ("train", "val")), ("target", ("train", "test"))):
        for seed, part in enumerate(names):
            annotations = make_coco(tmp_path / side / part, n_images=3, classes=classes, seed=seed)
            options[f"{side}_{part}.data_root"] = str(annotations.parent)
            options[f"{side}_{part}.ann_file"] = "annotations.json"
    cfg = load(f"yolox_fs_n_custom_{stage}", **options)
    train = build_dataset(cfg.data.train)
    mixing = train[0]
    train.update_skip_type_keys(ModeSwitchHook().skip_type_keys)
    for sample in (mixing, train[0], train[len(train) - 1]):
        assert sample["img"].data.shape == (3, 320, 320)
        assert sample["img_metas"].data["domain"] in ("source", "target")
    assert train[len(train) - 1]["img_metas"].data["domain"] == ("source" if stage == "base" else "target")
    test = build_dataset(cfg.data.test, dict(test_mode=True))
    assert (test.domains, len(test)) == (["target", "source"], 6)
    assert test[0]["img"][0].data.shape == (3, 320, 320)


def test_tested_images_are_padded_to_the_next_multiple_of_32_by_one_option(tmp_path):
    annotations = make_coco(tmp_path, n_images=2, size_hw=(50, 160))
    options = dict(test_sets=["${target_test}"], test_padding="multiple", classes=("part",), num_classes=1)
    options |= {"target_test.ann_file": str(annotations), "target_test.img_prefix": str(tmp_path / "images")}
    data = build_dataset(load("yolox_fs_n_custom_base", **options).data.test, dict(test_mode=True))[0]
    assert data["img"][0].data.shape == (3, 128, 320)  # 50 × 160 fits the frame of 320 × 320 twice
    assert data["img"][0].data[:, 100:].unique().tolist() == [114]
    with pytest.raises(UserError, match="no 'square'; known there: frame, multiple"):
        load("yolox_fs_n_custom_base", test_padding="square")


@pytest.mark.parametrize("name", ["yolox_fs_n_custom_pretrain_mom_ft", f"{X}cityscapes_pretrain_mom"])
def test_the_size_of_training_testing_and_memory_is_one_option(name):
    cfg = load(name, image_size=[192, 384])
    assert cfg.model.input_size == (192, 384) and cfg.model.random_size_range == (4, 8)
    assert [tuple(size_hw) for size_hw in cfg.model.adapter.memory.sizes_hw] == [(24, 48), (12, 24), (6, 12)]
    steps = {step.type: step for step in cfg.data.train.pipeline}
    assert steps["Pad"].size == (192, 384) and steps["RandomAffine"].border == (-96, -192)
    view = cfg.data.test.pipeline[1]
    assert view.img_scale == (192, 384)
    assert [step.size for step in view.transforms if step.type == "Pad"] == [(192, 384)]
    assert [step["size"] for step in memory_pipeline(cfg)[1]["transforms"] if step["type"] == "Pad"] == [(192, 384)]


def test_the_other_direction_is_one_option():
    model = build(load(f"{X}cityscapes_pretrain_mom", adapter_query="memory"))
    assert {layer.query for level in model.adapter.levels for layer in level.layers} == {"memory"}


@pytest.mark.slow
def test_one_training_step_at_full_size():
    torch.manual_seed(0)
    cfg = load(f"{X}cityscapes_pretrain_mom_ft")
    model = build_detector(cfg.model)
    for domain in model.domains:
        maps = [torch.rand(cfg.num_prototypes, *size_hw) for size_hw in cfg.memory_sizes_hw]
        model.adapter.memory.load_prototypes(domain, maps)
    optimizer = build_optimizer(model, cfg.optimizer)
    metas = [dict(img_shape=(640, 640, 3), scale_factor=1.0, domain=domain) for domain in model.domains]
    boxes = [torch.tensor([[100.0, 120, 300, 360]]), torch.tensor([[50.0, 60, 90, 80], [400, 300, 600, 620]])]
    labels = [torch.tensor([0]), torch.tensor([7, 1])]
    losses = model(torch.rand(2, 3, 640, 640) * 255, metas, gt_bboxes=boxes, gt_labels=labels)
    loss, values = model._parse_losses(losses)
    assert {"loss_cls", "loss_obj", "loss_bbox", "loss_foreground"} <= set(values) and torch.isfinite(loss)
    loss.backward()
    residuals = {key: value.detach().clone() for key, value in model.named_parameters() if ".residual" in key}
    optimizer.step()
    after = dict(model.named_parameters())
    assert len(residuals) == 6 and all(not torch.equal(value, after[key]) for key, value in residuals.items())
