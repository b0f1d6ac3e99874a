"""Memory-guided style: statistics, restyling, what is left alone, and the wiring in the detector."""

import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory import write_maps
from ms2a.models.baselines import StyleMemory
from ms2a.models.baselines.style import channel_statistics, restyle
from tests.tiny_model import batch, build

CHANNELS = (8, 16)  # stem and stage1 of the tests' backbone
K = 3


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "night_style_cluster.pth"
    write_maps(path, [torch.rand(K, 2, count) + 5 * torch.arange(K)[:, None, None] for count in CHANNELS], {})
    return str(path)


def memory(file, **options):
    style = StyleMemory("night", CHANNELS, K, file, **options)
    style.init_weights()
    return style


def test_statistics_against_a_plain_loop():
    feature = torch.randn(2, 3, 4, 5)
    statistics = channel_statistics(feature)
    for image in range(2):
        for channel in range(3):
            values = feature[image, channel].flatten()
            torch.testing.assert_close(statistics[image, 0, channel], values.mean())
            torch.testing.assert_close(statistics[image, 1, channel], values.std())


def test_a_restyled_feature_has_the_wanted_statistics():
    feature, wanted = torch.randn(2, 3, 8, 8) * 4 + 2, torch.rand(2, 2, 3) + 0.5
    torch.testing.assert_close(channel_statistics(restyle(feature, wanted)), wanted, rtol=1e-3, atol=1e-3)
    own = channel_statistics(feature)
    torch.testing.assert_close(restyle(feature, own), feature, rtol=1e-3, atol=1e-3)


def test_images_go_a_random_share_of_the_way_towards_a_style(file):
    style = memory(file)
    feature = torch.randn(3, CHANNELS[0], 6, 6)
    drawn = (torch.tensor([2, 1, 0]), torch.tensor([1.0, 0.25, 0.0]))
    statistics = channel_statistics(style(feature, "stem", drawn))
    own = channel_statistics(feature)
    torch.testing.assert_close(statistics[0], style.stem[2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(statistics[1], own[1] + 0.25 * (style.stem[1] - own[1]), rtol=1e-3, atol=1e-3)
    assert torch.equal(style(feature, "stem", drawn)[2], feature[2])


def test_only_other_domains_images_are_drawn(file):
    style = memory(file, prob=0.5)
    torch.manual_seed(0)
    styles, share = style.draw(["night", "day"] * 500, torch.device("cpu"))
    assert share[::2].max() == 0
    assert 0.4 < (share[1::2] > 0).float().mean() < 0.6
    assert set(styles.tolist()) == {0, 1, 2}


def test_random_styles_keep_the_mean_and_spread_of_means_and_of_deviations(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "many.pth"
    rows = [torch.rand(400, 2, count) * torch.tensor([[9.0], [2.0]]) + 50 for count in CHANNELS]
    write_maps(path, rows, {})
    style = StyleMemory("night", CHANNELS, 400, str(path), prototypes="random")
    style.init_weights()
    assert not torch.allclose(style.stem, rows[0])
    for kind in range(2):
        assert style.stem[:, kind].mean() == pytest.approx(float(rows[0][:, kind].mean()), rel=0.01)
        assert style.stem[:, kind].std() == pytest.approx(float(rows[0][:, kind].std()), rel=0.1)


def test_styles_that_do_not_fit_are_refused_with_both_numbers(file):
    with pytest.raises(UserError, match="has 3 styles of 8 channels at stem, the config 3 of 10"):
        StyleMemory("night", (10, 16), K, file).init_weights()


def test_styles_that_were_never_read_are_refused():
    with pytest.raises(UserError, match="style memory of 'night' is empty: give its"):
        memory(None).draw(["day"], torch.device("cpu"))


def test_training_restyles_source_images_only_and_testing_none(file, monkeypatch):
    model = build(style=dict(type="StyleMemory", domain="night", channels=CHANNELS, num_styles=K, file=file, prob=1.0))
    seen = []
    whole = StyleMemory.forward

    def spy(self, feature, layer, drawn):
        result = whole(self, feature, layer, drawn)
        seen.append((layer, [bool((a != b).any()) for a, b in zip(feature, result, strict=True)]))
        return result

    monkeypatch.setattr(StyleMemory, "forward", spy)
    data = batch("day", "night")
    model._parse_losses(model.train()(**data))[0].backward()
    assert seen == [("stem", [True, False]), ("stage1", [True, False])]
    assert model.backbone.stem.conv.conv.weight.grad.abs().max() > 0
    seen.clear()
    with torch.no_grad():
        model.eval().simple_test(data["img"], data["img_metas"])
    assert seen == []
