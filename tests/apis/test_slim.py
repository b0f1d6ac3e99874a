import torch
from mmdet.models import build_detector

from ms2a.cli.convert import main
from ms2a.config import CONFIGS, load_config
from ms2a.engine.checkpoint import read_checkpoint
from tests.tiny import make_checkpoint, make_config, make_domains


def test_weights_alone_in_half_precision(tmp_path):
    config = make_config(tmp_path / "config.py", make_domains(tmp_path / "data"))
    whole = make_checkpoint(tmp_path / "whole.pth", config)
    content = torch.load(whole, weights_only=True)
    name = next(iter(content["state_dict"]))
    shadow = "ema_" + name.replace(".", "_")
    content["state_dict"][shadow] = content["state_dict"][name]
    torch.save(dict(content, optimizer=dict(state=torch.zeros(1000))), whole)
    main(["slim", str(whole), str(tmp_path / "slim.pth")])
    found = torch.load(tmp_path / "slim.pth", weights_only=True)
    assert set(found) == {"state_dict", "meta"} and list(found["meta"]["CLASSES"]) == ["part"]
    assert found["state_dict"].keys() == content["state_dict"].keys() - {shadow}
    for key, value in found["state_dict"].items():
        assert value.dtype == (torch.float16 if value.is_floating_point() else torch.int64)
        torch.testing.assert_close(value.float(), content["state_dict"][key].float(), rtol=1e-3, atol=1e-6)


def test_the_weights_that_come_with_the_project_fit_their_recipe_and_are_small():
    path = CONFIGS / "weights" / "indus_synth_source_small.pth"
    assert path.stat().st_size < 5e6
    content = read_checkpoint(path)
    cfg = load_config(CONFIGS / "yolox" / "yolox_fs_n_128x320_indus_synth_base.py")
    build_detector(cfg.model).load_state_dict(content["state_dict"], strict=True)
    assert list(content["meta"]["CLASSES"]) == list(cfg.classes)
