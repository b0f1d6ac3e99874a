"""Weights of the YOLOX project, from its own checkpoints and from folded ONNX files, compute the same here."""

import copy
import sys
import tarfile
import types
from importlib import import_module
from subprocess import run

import numpy as np
import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn

from ms2a.apis.convert_yolox import convert_file, difference_to_onnx, yolox_outputs
from ms2a.config import detector_options
from ms2a.engine.checkpoint import read_checkpoint
from ms2a.errors import UserError
from ms2a.models.yolox import convolutions_in_order, load_folded, restore_batch_norms
from tests.tiny import make_coco, tool
from tests.yolox_files import NANO, SHARED_WEIGHTS, detector_of, smooth_pictures, train_batch_norms, yolox_names

ONNX = SHARED_WEIGHTS / "yolox_nano.onnx"


@torch.no_grad()
def outputs(model, images):
    return yolox_outputs(model, images)


def loaded(path, size, num_classes=3):
    """A detector of the size with other weights than the file's, then the file's."""
    model = detector_of(size, num_classes, seed=9)
    content = torch.load(path, weights_only=True)
    model.load_state_dict(content["state_dict"], strict=True)
    return model


@pytest.mark.parametrize("size", ["nano", "tiny"])
def test_a_checkpoint_with_the_projects_names_becomes_the_same_detector(size, tmp_path, capsys):
    model = detector_of(size)
    # As its training leaves it, with scores that are NumPy's.
    content = {"model": yolox_names(model.state_dict()), "start_epoch": 3, "best_ap": np.float64(0.3)}
    torch.save(content, tmp_path / "in.pth")
    main = tool("tools/model_converters/yolox_to_mmdet.py")
    main([tmp_path / "in.pth", tmp_path / "out.pth", "--classes", "a", "b", "c"])
    assert f"detector={size}, 3 classes, loaded strictly" in capsys.readouterr().out
    assert torch.equal(
        outputs(loaded(tmp_path / "out.pth", size), smooth_pictures()), outputs(model, smooth_pictures())
    )
    meta = read_checkpoint(tmp_path / "out.pth")["meta"]
    assert (meta["CLASSES"], meta["detector"]) == (["a", "b", "c"], size)


def test_half_precision_becomes_float32_and_eighty_classes_are_cocos(tmp_path):
    weights = {name: value.half() for name, value in yolox_names(detector_of("nano", 80).state_dict()).items()}
    torch.save(weights, tmp_path / "in.pth")
    told = convert_file(tmp_path / "in.pth", tmp_path / "out.pth")
    assert told["classes"][:3] == ["person", "bicycle", "car"] and told["difference"] is None
    state = torch.load(tmp_path / "out.pth", weights_only=True)["state_dict"]
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights, "in.pth has 3 classes, 0 were named; name them all by `classes`"),
        (lambda weights: {"backbone.stem.conv.conv.weight": torch.ones(3)}, "is not the YOLOX project's"),
        (lambda weights: weights | {"ema.x": torch.ones(3)}, "the weights hold ema.x, which is none of YOLOX's"),
        (lambda weights: {name: value for name, value in weights.items() if ".m.2." not in name}, "no known size"),
        (lambda weights: list(weights), "is not the YOLOX project's"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path, change, message):
    torch.save({"model": change(yolox_names(detector_of("nano").state_dict()))}, tmp_path / "in.pth")
    with pytest.raises(UserError, match=message) as error:
        convert_file(tmp_path / "in.pth", tmp_path / "out.pth")
    assert "\n" not in str(error.value) and not (tmp_path / "out.pth").exists()


def test_a_missing_tensor_is_named(tmp_path):
    weights = yolox_names(detector_of("nano").state_dict())
    del weights["head.stems.1.conv.weight"]
    torch.save({"model": weights}, tmp_path / "in.pth")
    with pytest.raises(UserError, match="no YOLOX of size nano: Missing key.*neck.out_convs.1.conv.weight") as error:
        convert_file(tmp_path / "in.pth", tmp_path / "out.pth", classes=list("abc"))
    assert "\n" not in str(error.value)


def folded(model, size):
    """Weight and bias of all convolutions as an export has them, by the independent folding of mmcv."""
    options = detector_options(size, "")
    names = convolutions_in_order(options["deepen_factor"], options["use_depthwise"])
    with torch.no_grad():
        modules = dict(fuse_conv_bn(model).named_modules())
    return [(modules[name].weight.detach(), modules[name].bias.detach()) for name in names], names


@pytest.mark.parametrize("size", ["nano", "s"])
def test_folded_weights_and_new_statistics_change_nothing_in_evaluation_and_train_well(size):
    model, images = detector_of(size).double(), smooth_pictures(4).double()
    before = outputs(model, images)
    weights, names = folded(copy.deepcopy(model), size)
    other = detector_of(size, seed=9).double()
    load_folded(other, weights, names)
    torch.testing.assert_close(outputs(other, images), before)
    in_training = outputs(other.train(), images)
    assert (in_training - before).abs().max() > 0.1  # a training step would see something else
    load_folded(other.eval(), weights, names)
    assert restore_batch_norms(other, iter([images])) == 4
    torch.testing.assert_close(outputs(other, images), before)
    # Of the very images, the batch's statistics are the stored ones: training computes what evaluation does.
    torch.testing.assert_close(outputs(other.train(), images), before)


def test_statistics_are_those_of_all_batches_together():
    model, images = detector_of("nano"), smooth_pictures(5)
    whole = detector_of("nano")
    restore_batch_norms(model, iter([images[:2], images[2:]]))
    restore_batch_norms(whole, iter([images]))
    for one, other in zip(model.buffers(), whole.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    with pytest.raises(UserError, match="no image could be read"):
        restore_batch_norms(model, iter([]))


def write_onnx(path, nodes, **arrays):
    from onnx import TensorProto, helper, numpy_helper, save

    initializers = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    made = [helper.make_node(kind, inputs, ["y"]) for kind, inputs in nodes]
    save(helper.make_model(helper.make_graph(made, "g", ends[:1], ends[1:], initializers)), path)


def test_other_onnx_files_are_refused(tmp_path):
    pytest.importorskip("onnx")
    path, out = tmp_path / "in.onnx", tmp_path / "out.pth"
    with pytest.raises(UserError, match="statistics are lost; give pictures by `images`"):
        convert_file(path, out)
    with pytest.raises(UserError, match="in.onnx does not exist"):
        convert_file(path, out, tmp_path)
    path.write_bytes(b"half")
    with pytest.raises(UserError, match="cannot be read .*may be truncated"):
        convert_file(path, out, tmp_path)
    weight, bias = np.ones((16, 12, 3, 3), np.float32), np.ones(16, np.float32)
    write_onnx(path, [("Conv", ["x", "w", "b"])], w=weight, b=bias)
    with pytest.raises(UserError, match="has 1 convolutions, the first of 16 channels: it is no YOLOX of the sizes"):
        convert_file(path, out, tmp_path)
    write_onnx(path, [("Conv", ["x", "w"])], w=weight)
    with pytest.raises(UserError, match="no folded YOLOX"):
        convert_file(path, out, tmp_path)
    write_onnx(path, [("BatchNormalization", ["x", "b", "b", "b", "b"])], b=bias)
    with pytest.raises(UserError, match="not folded; convert the .pth"):
        convert_file(path, out, tmp_path)
    assert not out.exists()


@pytest.mark.skipif(not (ONNX.is_file() and NANO.is_file()), reason="the shared COCO weights are not here")
def test_the_published_nano_from_its_onnx_file(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    make_coco(tmp_path, n_images=3, size_hw=(96, 128))
    main = tool("tools/model_converters/yolox_to_mmdet.py")
    main([ONNX, tmp_path / "out.pth", "--images", tmp_path / "images", "--image-size", 96, 128])
    out = capsys.readouterr().out
    assert "detector=nano, 80 classes" in out and "taken over 3 pictures" in out and "ONNX Runtime's by" in out
    ours, theirs = loaded(tmp_path / "out.pth", "nano", 80), loaded(NANO, "nano", 80)
    # Statistics are of other pictures, what is computed is not.
    assert not torch.equal(ours.backbone.stem.conv.bn.running_mean, theirs.backbone.stem.conv.bn.running_mean)
    image = smooth_pictures(1, (416, 416))
    torch.testing.assert_close(outputs(ours, image), outputs(theirs, image), rtol=1e-3, atol=1e-3)
    assert difference_to_onnx(theirs, ONNX, image) < 1e-3
    ours.bbox_head.multi_level_conv_reg[1].bias.data[2] += 0.5
    with pytest.raises(UserError, match="computes something else .*: outputs differ by 0"):
        difference_to_onnx(ours, ONNX, image)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The YOLOX project's own network, from its package's source; what is beside the network stays away."""
    folder = tmp_path_factory.mktemp("yolox")
    words = ["download", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "-d", folder, "yolox==0.3.0"]
    done = run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    archive = folder / "yolox-0.3.0.tar.gz"
    if not archive.is_file():
        pytest.skip(f"the YOLOX project's package cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    stubs = {name: types.ModuleType(name) for name in ("loguru", "yolox", "yolox.models", "yolox.utils")}
    stubs["loguru"].logger = None
    stubs["yolox.utils"].bboxes_iou = None
    stubs["yolox.utils"].meshgrid = lambda sides: torch.meshgrid(*sides, indexing="ij")
    stubs["yolox.models"].__path__ = [str(folder / "yolox-0.3.0" / "yolox" / "models")]
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stubs.items():
            patch.setitem(sys.modules, name, module)
        neck, head = (import_module(f"yolox.models.{name}") for name in ("yolo_pafpn", "yolo_head"))
        yield neck.YOLOPAFPN, head.YOLOXHead
        for name in [name for name in sys.modules if name.startswith("yolox.models.")]:
            del sys.modules[name]


class Network(nn.Module):
    """As the project puts its parts together, with the numbers of batch norms that it sets."""

    def __init__(self, project, size, num_classes):
        super().__init__()
        options = detector_options(size, "")
        depth, width, depthwise = options["deepen_factor"], options["widen_factor"], options["use_depthwise"]
        self.backbone = project[0](depth, width, depthwise=depthwise)
        self.head = project[1](num_classes, width, depthwise=depthwise)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3
        for layer in self.head.reg_preds:  # boxes of some pixels: their sizes are exponentials
            nn.init.normal_(layer.weight, std=0.001)

    def forward(self, images):
        return self.head(self.backbone(images))

    def raw(self, images):
        """In training mode the project's head wants labels: its batch norms are run one after the other instead."""
        for level, maps in enumerate(self.backbone(images)):
            stem = self.head.stems[level](maps)
            self.head.cls_convs[level](stem), self.head.reg_convs[level](stem)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["nano", "tiny", "s", "m", "l", "x"])
def test_the_projects_own_network_computes_the_same(project, size, tmp_path, capsys):
    torch.manual_seed(0)
    theirs = Network(project, size, 80)
    train_batch_norms(theirs, theirs.raw)
    theirs.eval().head.decode_in_inference = False
    image = smooth_pictures(1, (96, 128))
    with torch.no_grad():
        expected = theirs(image)
    torch.save({"model": theirs.state_dict()}, tmp_path / "in.pth")
    assert convert_file(tmp_path / "in.pth", tmp_path / "out.pth")["size"] == size
    converted = outputs(loaded(tmp_path / "out.pth", size, 80), image)
    torch.testing.assert_close(converted, expected, rtol=1e-4, atol=1e-4)
    pytest.importorskip("onnxruntime")
    make_coco(tmp_path, n_images=2, size_hw=(96, 128))
    for decoded in (False, True):
        theirs.head.decode_in_inference = decoded
        export = dict(dynamo=False, opset_version=17, do_constant_folding=True)
        torch.onnx.export(theirs, image, str(tmp_path / "in.onnx"), **export)
        told = convert_file(tmp_path / "in.onnx", tmp_path / "folded.pth", tmp_path / "images", image_size=(96, 128))
        assert told["size"] == size and told["difference"] < 1e-2
        folded = outputs(loaded(tmp_path / "folded.pth", size, 80), image)
        torch.testing.assert_close(folded, expected, rtol=1e-2, atol=1e-2)
