"""What only a GPU shows: fp16 training, nccl, NMS of CUDA tensors, fused attention, Stage I on the device.

Without a GPU they are slow tests that compare the CPU with itself, so that they do not rot.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
from mmcv.ops import batched_nms
from mmdet.utils import build_dp
from torch.nn.attention import SDPBackend, sdpa_kernel

from ms2a.adaptation import attention, fast
from ms2a.config import load_config
from ms2a.models.build import build_model
from tests.tiny import ROOT, make_checkpoint, make_config, make_domains, make_memory, tool

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
pytestmark = [] if ON_GPU else [pytest.mark.slow]
run_train, run_test, extract, cluster = (
    tool(path) for path in ("tools/train.py", "tools/test.py", "extract_fea_fewshot.py", "knn_cuda.py")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_domains(tmp_path_factory.mktemp("gpu"), n_images=5)
    make_checkpoint(folder / "base.pth", make_config(folder / "base.py", folder))
    make_config(folder / "config.py", folder, memory=make_memory(folder))
    options = ["--no-validate", "--device", "cpu", "--cfg-options", "runner.max_epochs=1"]
    run_train([folder / "config.py", "--work-dir", folder / "run", *options])
    return folder


def test_the_detector_computes_on_the_gpu_what_it_computes_on_the_cpu(folder):
    cfg, image = load_config(folder / "config.py"), torch.rand(2, 3, 64, 96) * 255
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    maps = []
    for device in ("cpu", DEVICE):
        model = build_model(cfg, folder / "run/latest.pth", device)
        with torch.no_grad():
            adapted = model.adapter(model.neck(model.backbone(image.to(device))), ["night", "day"])
        maps.append([level.cpu() for level in adapted])
    for on_cpu, on_gpu in zip(*maps, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3 * on_cpu.abs().max().item())


@pytest.mark.parametrize("config", [dict(type="nms", iou_threshold=0.5), dict(type="soft_nms", iou_threshold=0.5)])
def test_nms_of_cuda_tensors(config):
    torch.manual_seed(0)
    corner = torch.rand(300, 2) * 50
    boxes = torch.cat([corner, corner + 5 + torch.rand(300, 2) * 20], dim=1)
    scores, classes = torch.rand(300), torch.randint(3, (300,))
    expected, kept = batched_nms(boxes, scores, classes, config)
    found, kept_there = batched_nms(boxes.to(DEVICE), scores.to(DEVICE), classes.to(DEVICE), config)
    assert found.device.type == DEVICE
    torch.testing.assert_close(found.cpu(), expected)
    torch.testing.assert_close(kept_there.cpu(), kept)


def test_fp16_training_resumes_and_its_checkpoint_is_tested(folder, tmp_path):
    options = ["--work-dir", tmp_path, "--seed", 1, "--no-validate", "--device", DEVICE]
    run_train([folder / "config.py", *options, "--cfg-options", "runner.max_epochs=1"])
    first = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    assert not ON_GPU or first["meta"]["fp16"]["loss_scaler"]["scale"] > 0
    run_train([folder / "config.py", *options, "--auto-resume"])
    last = torch.load(tmp_path / "epoch_2.pth", weights_only=True)
    assert last["meta"]["epoch"] == 2
    assert all(torch.isfinite(value).all() for value in last["state_dict"].values())
    run_test(
        [folder / "config.py", tmp_path / "latest.pth", "--eval", "bbox", "--work-dir", tmp_path, "--device", DEVICE]
    )
    assert "night_bbox_mAP" in json.loads((tmp_path / "metrics.json").read_text())["metrics"]


def test_stage_1_on_the_gpu_gives_what_it_gives_on_the_cpu(folder, tmp_path):
    prototypes = []
    for device in ("cpu", DEVICE):
        out = tmp_path / f"{len(prototypes)}_{device}"
        common = ["--config", folder / "base.py", "--checkpoint", folder / "base.pth", "--out_path", out]
        extract(
            ["--depart", "night", "--img", folder / "night/images", *common, "--device", device, "--max-samples", 0]
        )
        cluster(["--depart", "night", "--fea_root_path", out, "--n_clusters", 4, "--device", device])
        prototypes.append(torch.load(out / "night_cluster.pth", weights_only=True))
    for name in ("feats1", "feats2", "feats3"):
        on_cpu, on_gpu = (found[name] for found in prototypes)
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-2, atol=1e-2 * on_cpu.abs().max().item())


def test_dist_train_on_a_gpu(folder, tmp_path):
    command = [str(ROOT / "tools/dist_train.sh"), folder / "config.py", "1", "--work-dir", tmp_path, "--no-validate"]
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*map(str, command), "--cfg-options", "runner.max_epochs=1"], env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.load(tmp_path / "latest.pth", weights_only=True)["meta"]["epoch"] == 1


def test_data_parallel_runs_the_detector_on_the_gpu(folder):
    model = build_model(load_config(folder / "config.py"), folder / "run/latest.pth", DEVICE)
    meta = dict(domain="night", img_shape=(64, 96, 3), ori_shape=(64, 96, 3), scale_factor=1.0)
    image = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        result = build_dp(model, DEVICE, device_ids=[0])(
            return_loss=False, rescale=True, img=[image], img_metas=[[meta]]
        )
    assert len(result) == 1


@pytest.mark.parametrize("batches", [(4, 1), (1, 4), (4, 4)])
@pytest.mark.parametrize("channels", [64, 320])
def test_attention_runs_in_a_fused_kernel_forward_and_backward(batches, channels):
    torch.manual_seed(0)
    dtype = torch.float16 if ON_GPU else torch.float32
    query, key, value = (
        torch.randn(batch, tokens, channels) / 8
        for batch, tokens in zip((*batches, batches[1]), (100, 129, 129), strict=True)
    )
    found, expected = [], []
    for results, attend, where in ((expected, attention, "cpu"), (found, fast, DEVICE)):
        dtype_here = dtype if attend is fast else torch.float32
        # Copies that nothing has happened to: only such keep their gradients.
        inputs = [each.clone().to(where, dtype_here).requires_grad_() for each in (query, key, value)]
        if attend is attention:  # which wants equal batches
            given = [each.expand(max(batches), -1, -1) for each in inputs]
        else:
            given = inputs
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION] if ON_GPU else SDPBackend.MATH):
            attended = attend.multi_head_attention(*given, 8)
            attended.float().square().sum().backward()
        results += [attended.detach(), *(each.grad for each in inputs)]
    for on_gpu, on_cpu in zip(found, expected, strict=True):
        torch.testing.assert_close(on_gpu.float().cpu(), on_cpu, rtol=2e-2, atol=2e-2 * on_cpu.abs().max().item())


def test_soft_nms_gives_the_kept_boxes_back_on_the_device(folder):
    cfg = load_config(folder / "config.py", {"model.test_cfg.nms.type": "soft_nms"})
    model = build_model(cfg, folder / "run/latest.pth", DEVICE)
    meta = dict(domain="night", img_shape=(64, 96, 3), ori_shape=(64, 96, 3), pad_shape=(64, 96, 3), scale_factor=1.0)
    image = (torch.rand(2, 3, 64, 96) * 255).to(DEVICE)
    with torch.no_grad():
        boxes = model.bbox_head.get_bboxes(
            *model.bbox_head(model.neck(model.backbone(image))), img_metas=[meta] * 2, cfg=cfg.model.test_cfg
        )
    assert all(dets.device.type == DEVICE and labels.device.type == DEVICE for dets, labels in boxes)
