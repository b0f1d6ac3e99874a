"""The configs of the benchmark's methods: short, buildable, and different only where they say so."""

import pytest
from mmdet.models import build_detector

from ms2a.benchmark.plan import METHODS, Method, known_methods
from ms2a.config import load_config
from ms2a.validation import validated

ALL = known_methods()
TRAINED = [name for name in ALL if name not in ("source_only", "adabn")]


def load(name):
    return load_config(METHODS / f"{name}.py")


@pytest.mark.parametrize("name", ALL)
def test_a_method_is_a_config_with_a_title_and_a_kind(name):
    cfg = load(name)
    method = validated(Method, cfg.benchmark, name)
    assert method.title and bool(cfg.colour_prob) == ("colour" in method.memories)
    adapter = cfg.model.get("adapter")
    kinds = {"MemoryAdapter": "map", "VectorMemoryAdapter": "vector"}
    assert ({kinds[adapter.type]} if adapter else set()) == method.memories.keys() & {"map", "vector"}
    assert bool(cfg.model.get("style")) == ("style" in method.memories)


@pytest.mark.parametrize("name", ALL)
def test_the_detector_builds(name):
    model = build_detector(load(name).model)
    assert bool(model.domains) == name.startswith("ms2a")


@pytest.mark.parametrize("name", TRAINED)
def test_all_methods_train_equally_long_on_the_same_data(name):
    cfg, reference = load(name), load("joint")
    for key in ("optimizer", "optimizer_config", "lr_config", "runner", "seed"):
        assert cfg[key] == reference[key], key
    assert cfg.custom_hooks[: len(reference.custom_hooks)] == reference.custom_hooks
    assert sum(domain.samples for domain in cfg.data.train.domains) == 640
    assert cfg.data.train_dataloader == reference.data.train_dataloader
    assert cfg.data.test == reference.data.test
    assert cfg.model.test_cfg == reference.model.test_cfg
    if name != "target_only":
        assert [domain.samples for domain in cfg.data.train.domains] == [400, 240]


@pytest.mark.parametrize("name", ALL)
def test_every_detector_knows_its_target(name):
    assert load(name).model.default_domain == "indus_synth_t1"


def test_titles_are_unique():
    titles = [load(name).benchmark.title for name in ALL]
    assert len(set(titles)) == len(titles)
