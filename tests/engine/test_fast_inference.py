import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from ms2a.engine.fast_inference import PackedConv, fold_batch_norms, speed_up
from tests.tiny_model import INPUT_HW, build

# As speed_up packs nothing there.
needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")


def trained(**config):
    """A detector whose batch norms are not the identity."""
    model = build(**config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor.data, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.to(memory_format=torch.channels_last).eval()


def outputs(model, images):
    with torch.no_grad():
        return [level for kind in model.bbox_head(model.extract_feat(images)) for level in kind]


@pytest.mark.parametrize("change", [fold_batch_norms, speed_up])
@pytest.mark.parametrize("activation", ["Swish", "SiLU", "ReLU"])
def test_the_function_stays_the_same(change, activation):
    model = trained(activation=activation)
    faster = change(copy.deepcopy(model))
    assert not [name for name, module in faster.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for batch, size_hw in ((1, INPUT_HW), (3, (96, 160))):
        images = torch.rand(batch, 3, *size_hw) * 255
        for ours, theirs in zip(outputs(faster, images), outputs(model, images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@needs_onednn
def test_convolutions_are_packed_with_their_activation():
    model = speed_up(trained(activation="SiLU"))
    packed = [module for module in model.modules() if isinstance(module, PackedConv)]
    activations = [module.activation for module in packed]
    adapter = [module for module in model.adapter.modules() if isinstance(module, PackedConv)]
    assert len(adapter) == 3 * (2 + 2 * 3)  # of each level both projections, and of its layers the MLP and the output
    assert activations.count("relu") == 3 * 2 and activations.count("swish") > 50
    assert activations.count("none") == 9 + len(adapter) - 3 * 2  # the nine predictors
    left = [name for name, module in model.named_modules() if isinstance(module, ConvModule | nn.Conv2d)]
    assert all(name.startswith("foreground") for name in left)


@needs_onednn
@pytest.mark.parametrize(
    ("options", "size_hw"),
    [
        (dict(kernel_size=3, padding=1, stride=2, bias=False), (9, 14)),
        (dict(kernel_size=3, padding=2, dilation=2, groups=4), (8, 8)),
        (dict(kernel_size=1), (5, 7)),
    ],
)
def test_a_packed_convolution_against_torch(options, size_hw):
    torch.manual_seed(0)
    conv, images = nn.Conv2d(8, 12, **options), torch.randn(2, 8, *size_hw)
    with torch.no_grad():
        packed = PackedConv(conv)
        for size in (images, images[:1, :, 1:]):  # packed for the first one's size, used at another
            torch.testing.assert_close(packed(size), conv(size), rtol=1e-4, atol=1e-5)
        swish = PackedConv(conv, "swish")(images)
        torch.testing.assert_close(swish, nn.functional.silu(conv(images)), rtol=1e-4, atol=1e-5)
