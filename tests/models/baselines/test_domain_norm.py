"""Batch norms of each domain: against plain ones, from a base detector, folded."""

import pytest
import torch
from torch import nn

from ms2a.engine.checkpoint import load_weights
from ms2a.engine.fast_inference import fold_batch_norms
from ms2a.errors import UserError
from ms2a.models.baselines import DomainBatchNorm
from ms2a.models.detector import _BATCH, Batch
from tests.tiny_model import INPUT_HW, batch, build, metas, model_config

NORM = dict(type="DomainBN", domains=["day", "night"], momentum=0.03, eps=0.001)


@pytest.fixture
def reading():
    tokens = []

    def read(*domains):
        tokens.append(_BATCH.set(Batch(list(domains))))

    yield read
    for token in reversed(tokens):
        _BATCH.reset(token)


def detector():
    parts = ("backbone", "neck", "bbox_head")
    plain = model_config()
    model = build(**{part: dict(plain[part], norm_cfg=NORM) for part in parts})
    return model.eval()


def test_each_domain_is_normalised_by_its_own_images(reading):
    x = torch.randn(5, 3, 4, 6) * torch.rand(5, 1, 1, 1) + torch.rand(5, 3, 1, 1)
    own, plain = DomainBatchNorm(3, ["day", "night"]), [nn.BatchNorm2d(3), nn.BatchNorm2d(3)]
    for norms in (own.norms, plain):
        for number, norm in enumerate(norms):
            nn.init.constant_(norm.weight, 2.0 + number)
            nn.init.constant_(norm.bias, float(number))
    reading("night", "day", "night", "day", "night")
    day, night = [1, 3], [0, 2, 4]
    found = own(x)
    torch.testing.assert_close(found[day], plain[0](x[day]))
    torch.testing.assert_close(found[night], plain[1](x[night]))
    for norm, expected in zip(own.norms, plain, strict=True):
        torch.testing.assert_close(norm.running_mean, expected.running_mean)
        torch.testing.assert_close(norm.running_var, expected.running_var)


def test_without_a_domain_it_is_the_target(reading):
    norm = DomainBatchNorm(3, ["day", "night"]).eval()
    norm.norms[1].running_mean += 1
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(norm(x), norm.norms[1](x))
    reading("day", None)
    torch.testing.assert_close(norm(x), torch.stack([norm.norms[0](x)[0], norm.norms[1](x)[1]]))
    reading("dusk", "day")
    with pytest.raises(UserError, match="unknown domain 'dusk'; the batch norms know day, night"):
        norm(x)


def test_from_a_base_detector_every_domain_starts_alike(tmp_path):
    base, model = build(adapter=None, foreground=None).eval(), detector()
    for module in base.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.save({"state_dict": base.state_dict(), "meta": {}}, tmp_path / "base.pth")
    load_weights(model, tmp_path / "base.pth", ["one", "two"])
    images = torch.rand(2, 3, *INPUT_HW) * 255
    with torch.no_grad():
        for domain in ("day", "night"):
            with model._reading(metas(domain, domain)):
                for level, expected in zip(model.neck(model.backbone(images)), base.extract_feat(images), strict=True):
                    torch.testing.assert_close(level, expected)


def test_folding_leaves_both_domains_as_they_are():
    model = detector()
    model.train()
    for _ in range(2):  # other statistics for each domain
        model.forward_train(**batch("day", "day", "night", "night"))
    model.eval()
    images = torch.rand(2, 3, *INPUT_HW) * 255

    def maps():
        with torch.no_grad(), model._reading(metas("day", "night")):
            return model.extract_feat(images)

    before = maps()
    fold_batch_norms(model)
    for level, expected in zip(maps(), before, strict=True):
        torch.testing.assert_close(level, expected)
