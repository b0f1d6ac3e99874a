"""Nothing is made on the CPU when the detector is elsewhere: torch's ``meta`` device refuses to mix, as a GPU does."""

import pytest
import torch
from mmdet.models import build_detector

from ms2a.config import load_config
from tests.tiny import make_config, make_domains, make_memory


@pytest.mark.parametrize("query", ["feature", "memory"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("domains", [("day", "night"), ("night", "night")])
def test_maps_and_foreground_loss_stay_on_the_device(tmp_path, query, training, domains):
    make_domains(tmp_path)
    cfg = load_config(make_config(tmp_path / "config.py", tmp_path, memory=make_memory(tmp_path)))
    cfg.model.adapter.query = query
    model = build_detector(cfg.model)
    model.init_weights()
    model = model.to("meta").train(training)
    with model._reading([dict(domain=domain) for domain in domains]) as batch:
        maps = model.extract_feat(torch.empty(2, 3, 64, 96, device="meta"))
    outputs = [*maps, *(each for kind in model.bbox_head(maps) for each in kind)]
    outputs.append(model.foreground.loss(batch.c5, [torch.empty(3, 4, device="meta")] * 2))
    assert {each.device.type for each in outputs} == {"meta"}
