"""What only a GPU shows: fp16 training, nccl, NMS of CUDA tensors, Stage I on the device. Skipped without one."""

import json
import os
import subprocess
import sys

import pytest
import torch
from mmcv.ops import batched_nms
from mmcv.parallel import MMDataParallel

from ms2a.config import load_config
from ms2a.models.build import build_model
from tests.tiny import ROOT, make_checkpoint, make_config, make_domains, make_memory, tool

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
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
    for device in ("cpu", "cuda"):
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
    found, kept_there = batched_nms(boxes.cuda(), scores.cuda(), classes.cuda(), config)
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected)
    torch.testing.assert_close(kept_there.cpu(), kept)


def test_fp16_training_resumes_and_its_checkpoint_is_tested(folder, tmp_path):
    options = ["--work-dir", tmp_path, "--seed", 1, "--no-validate", "--device", "cuda"]
    run_train([folder / "config.py", *options, "--cfg-options", "runner.max_epochs=1"])
    first = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    assert first["meta"]["fp16"]["loss_scaler"]["scale"] > 0
    run_train([folder / "config.py", *options, "--auto-resume"])
    last = torch.load(tmp_path / "epoch_2.pth", weights_only=True)
    assert last["meta"]["epoch"] == 2
    assert all(torch.isfinite(value).all() for value in last["state_dict"].values())
    run_test(
        [folder / "config.py", tmp_path / "latest.pth", "--eval", "bbox", "--work-dir", tmp_path, "--device", "cuda"]
    )
    assert "night_bbox_mAP" in json.loads((tmp_path / "metrics.json").read_text())["metrics"]


def test_stage_1_on_the_gpu_gives_what_it_gives_on_the_cpu(folder, tmp_path):
    prototypes = []
    for device in ("cpu", "cuda"):
        out = tmp_path / device
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
    model = build_model(load_config(folder / "config.py"), folder / "run/latest.pth", "cuda")
    meta = dict(domain="night", img_shape=(64, 96, 3), ori_shape=(64, 96, 3), scale_factor=1.0)
    image = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        result = MMDataParallel(model, [0])(return_loss=False, rescale=True, img=[image], img_metas=[[meta]])
    assert len(result) == 1
