"""The converter of the release's weights, on weights that this file names as the release does.

The names are written out by hand, and what is computed of the weights is compared with plain arithmetic and with the
detector that they were taken from; ``test_parity.py`` compares with the release's own numbers where those are.
"""

import pytest
import torch
import torch.nn.functional as F
from mmcv.runner import load_state_dict

from ms2a.errors import UserError
from ms2a.models.release import convert_release, describe
from tests.tiny_model import INPUT_HW, build, metas

DOMAINS = ("day", "night")
LEVELS, LAYERS = range(3), range(2)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def names_in_release():
    """Name here → name in the release, of all that is not mmdet's."""
    names = {}
    for level in LEVELS:
        here, there = f"adapter.levels.{level}", f"bbox_head.relation_nets.{level}"
        for ours, theirs in (("project_feature", "input_conv1"), ("project_memory", "input_conv2")):
            names[f"{here}.{ours}.conv.weight"] = f"{there}.{theirs}.conv.weight"
            names |= {f"{here}.{ours}.bn.{part}": f"{there}.{theirs}.bn.{part}" for part in NORM}
        for layer in LAYERS:
            for part in ("q_lin", "k_lin", "v_lin", "mlp.fc1", "mlp.fc2", "out_conv"):
                for kind in ("weight", "bias"):
                    ours = f"{here}.layers.{layer}.{part}.{kind}"
                    names[ours] = f"{there}.attentions.{layer}.{part}.{kind}"
        for number, domain in enumerate(DOMAINS):
            memory = f"adapter.memory.memories.{domain}"
            names[f"{memory}.prototypes{level}"] = f"bbox_head.clus_{number}.feats{level + 1}"
            names[f"{memory}.residual{level}"] = f"bbox_head.clus_m_{number}.feats{level + 1}"
    names["foreground.hidden.conv.weight"] = "bbox_head.conv_fg.0.conv.weight"
    names |= {f"foreground.hidden.bn.{part}": f"bbox_head.conv_fg.0.bn.{part}" for part in NORM}
    names |= {f"foreground.predict.{kind}": f"bbox_head.conv_fg.1.{kind}" for kind in ("weight", "bias")}
    return names


@pytest.fixture(scope="module")
def detector():
    """One whose every tensor differs from the others."""
    model = build(query="memory").eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.is_floating_point() and not name.startswith(("backbone", "neck")):
                value.normal_(0, 0.1)
    return model


@pytest.fixture(scope="module")
def released(detector):
    names = names_in_release()
    state = detector.state_dict()
    mmdets = ("backbone.", "neck.", "bbox_head.multi_level_")
    assert {name for name in state if not name.startswith(mmdets)} == set(names)  # nothing is left without a name
    weights = {names.get(name, name): value.clone() for name, value in state.items()}
    averages = {f"ema_{name.replace('.', '_')}": value + 1 for name, value in weights.items()}
    return {**weights, **averages}


def test_converted_weights_compute_what_they_did(detector, released):
    converted = convert_release(released, DOMAINS)
    model = build(query="memory", filled=False).eval()
    load_state_dict(model, converted, strict=True)
    for name, value in detector.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    images = torch.rand(2, 3, *INPUT_HW, generator=torch.Generator().manual_seed(0)) * 255
    found = []
    for each in (detector, model):
        with torch.no_grad(), each._reading(metas("day", "night")) as batch:
            maps = each.bbox_head(each.extract_feat(images))
            found.append([*batch.adapted, *(level for kind in maps for level in kind), each.foreground(batch.c5)])
    for expected, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


@torch.no_grad()
def test_the_released_equation_by_plain_arithmetic(released):
    """Of one level and one domain, from the release's names; the grids and the position code stand here too."""
    level, domain = 1, 0
    weights, feature = released, torch.randn(1, 32, 4, 6, generator=torch.Generator().manual_seed(1))

    def project(maps, name):
        name = f"bbox_head.relation_nets.{level}.{name}"
        maps = F.conv2d(maps, weights[f"{name}.conv.weight"])
        norm = [weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(maps, *norm, eps=1e-3)

    def code(size):
        """The first half of the channels for rows, the second for columns, sine and cosine in turn."""
        position = torch.arange(1, size + 1)[:, None] / 10000 ** (2 * (torch.arange(16) // 2) / 16)
        line = torch.where(torch.arange(16) % 2 == 0, position.sin(), position.cos())  # (size, 16)
        rows, columns = line[:, None].expand(-1, size, -1), line[None].expand(size, -1, -1)
        return torch.cat([rows, columns], dim=2).flatten(0, 1)  # (size², 32)

    def pool(maps, size):
        return F.adaptive_avg_pool2d(maps, size)[0].flatten(1).T

    memory = (
        weights[f"bbox_head.clus_{domain}.feats{level + 1}"] + weights[f"bbox_head.clus_m_{domain}.feats{level + 1}"]
    )
    expected, asking = project(feature, "input_conv1"), pool(project(memory[None], "input_conv2"), 10)
    for layer in LAYERS:

        def linear(tokens, name, layer=layer):
            name = f"bbox_head.relation_nets.{level}.attentions.{layer}.{name}"
            return F.linear(tokens, weights[f"{name}.weight"].flatten(1), weights[f"{name}.bias"])

        answering = torch.cat([pool(expected, size) + code(size) for size in (10, 5, 2)])  # 129 tokens
        query, key, value = linear(asking + code(10), "q_lin"), linear(answering, "k_lin"), linear(answering, "v_lin")
        heads = [slice(4 * head, 4 * head + 4) for head in range(8)]
        read = torch.cat([(query[:, s] @ key[:, s].T).softmax(1) @ value[:, s] for s in heads], dim=1)
        tokens = asking + read
        tokens = tokens + linear(linear(tokens, "mlp.fc1").relu(), "mlp.fc2")
        points = tokens.T.reshape(1, 32, 10, 10)
        points = F.interpolate(points, size=(4, 6), mode="bilinear", align_corners=True)
        expected = expected + linear(points[0].flatten(1).T, "out_conv").T.reshape(1, 32, 4, 6)

    model = build(query="memory", filled=False).eval()
    load_state_dict(model, convert_release(released, DOMAINS), strict=True)
    adapter = model.adapter
    found = adapter.levels[level](feature, adapter.remember(["day"])[level], torch.tensor([0]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_what_its_config_must_say(released):
    said = describe(convert_release(released, DOMAINS))
    assert "num_classes=2" in said and "channels=32" in said and "num_layers=2" in said
    assert "domains=['day', 'night'], num_prototypes=4, sizes_hw=[(8, 12), (4, 6), (2, 3)]" in said


@pytest.mark.parametrize("domains", [("day",), ("day", "night", "fog")])
def test_another_number_of_domains_is_refused(released, domains):
    with pytest.raises(UserError, match=f"memories of 2 domains, {len(domains)} were named"):
        convert_release(released, domains)
