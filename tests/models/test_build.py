import pickle
import subprocess
import sys

import pytest
import torch

from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.models.build import build_model, config_classes
from tests.tiny import make_checkpoint, make_config, make_domains, make_memory

CLASSES = ("nut", "bolt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_domains(tmp_path_factory.mktemp("model"), CLASSES)
    base = make_config(folder / "base.py", folder, CLASSES)
    make_config(folder / "stage2.py", folder, CLASSES, memory=make_memory(folder))
    make_checkpoint(folder / "base.pth", base, CLASSES)
    make_checkpoint(folder / "stage2.pth", folder / "stage2.py", CLASSES)
    return folder


def _changed(folder, name, **changes):
    content = torch.load(folder / name, weights_only=True)
    content["meta"].update(changes.pop("meta", {}))
    content["state_dict"].update(changes)
    torch.save(content, folder / "changed.pth")
    return folder / "changed.pth"


def test_weights_classes_and_mode(folder):
    cfg = load_config(folder / "base.py")
    model = build_model(cfg, folder / "base.pth", "cpu")
    weights = torch.load(folder / "base.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert model.CLASSES == list(CLASSES)
    assert not any(module.training for module in model.modules())
    assert "train_cfg" in cfg.model  # the config is left as it was


def test_a_config_of_another_process_builds_in_a_repaired_one(folder):
    """Unpickling a config loads mmcv, and nothing of what ``load_config`` loads."""
    (folder / "cfg.pkl").write_bytes(pickle.dumps(load_config(folder / "base.py")))
    code = "import pickle, sys; from ms2a.models.build import build_model; import mmcv\n"
    code += "build_model(pickle.load(open(sys.argv[1], 'rb')), sys.argv[2]); print(mmcv._repaired_by_ms2a)"
    command = [sys.executable, "-c", code, str(folder / "cfg.pkl"), str(folder / "base.pth")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
    assert "image shape" not in done.stderr


def test_the_memory_comes_from_the_checkpoint_and_its_files_are_not_read(folder):
    cfg = load_config(folder / "stage2.py")
    cfg.model.adapter.memory.files = {"day": "/nowhere.pth"}
    maps = {
        f"adapter.memory.memories.{d}.prototypes{level}": torch.rand(4, *size)
        for d in ("day", "night")
        for level, size in enumerate([(8, 12), (4, 6), (2, 3)])
    }
    model = build_model(cfg, _changed(folder, "stage2.pth", **maps))
    assert model.adapter.memory.is_filled("night")
    assert torch.equal(
        model.adapter.memory.memories["day"].prototypes1, maps["adapter.memory.memories.day.prototypes1"]
    )


def test_classes_that_differ_are_refused_with_both_lists(folder):
    cfg = load_config(folder / "base.py")
    swapped = _changed(folder, "base.pth", meta=dict(CLASSES=["bolt", "nut"]))
    with pytest.raises(UserError, match=r"class lists differ.*\['bolt', 'nut'\].*\['nut', 'bolt'\]"):
        build_model(cfg, swapped)
    cfg.classes = ("nut", "bolt", "pin")
    with pytest.raises(UserError, match="class lists differ"):
        build_model(cfg, folder / "base.pth")
    with pytest.raises(UserError, match="num_classes=2, but there are 3 classes"):
        build_model(cfg, _changed(folder, "base.pth", meta=dict(CLASSES=None)))


def test_where_classes_are_found(folder):
    cfg = load_config(folder / "base.py")
    assert config_classes(cfg) == ["nut", "bolt"]  # inside the concatenated test set
    cfg.classes = ["part"]
    assert config_classes(cfg) == ["part"]
    cfg.pop("classes")
    cfg.data.test = dict(type="CocoDataset")
    assert config_classes(cfg) is None
    assert build_model(cfg, folder / "base.pth").CLASSES == ["nut", "bolt"]


@pytest.mark.parametrize(
    ("config", "checkpoint", "message"),
    [
        ("stage2.py", "base.pth", r"[0-9]+ of its tensors are missing and 0 unknown, e\.g\. adapter\."),
        ("base.py", "stage2.pth", r"0 of its tensors are missing and [0-9]+ unknown, e\.g\. adapter\."),
        ("base.py", "none.pth", "none.pth does not exist"),
    ],
)
def test_checkpoints_of_another_detector_are_refused(folder, config, checkpoint, message):
    with pytest.raises(UserError, match=message):
        build_model(load_config(folder / config), folder / checkpoint)


def test_size_and_memory_mismatches_are_one_line(folder):
    cfg = load_config(folder / "base.py", {"model.neck.num_csp_blocks": 1, "model.bbox_head.feat_channels": 16})
    with pytest.raises(UserError, match="size mismatch for bbox_head") as error:
        build_model(cfg, folder / "base.pth")
    assert "\n" not in str(error.value)
    cfg = load_config(folder / "stage2.py", {"model.adapter.memory.num_prototypes": 9})
    with pytest.raises(UserError, match="K=4 at level 0, the config has num_prototypes=9"):
        build_model(cfg, folder / "stage2.pth")


def test_parts_used_in_training_only_may_be_left_over(folder):
    checkpoint = _changed(folder, "base.pth", **{"foreground.convs.weight": torch.zeros(1)})
    build_model(load_config(folder / "base.py"), checkpoint)
