import importlib
import os
import time
from types import SimpleNamespace

import mmcv
import mmcv.parallel._functions
import mmdet.apis.train
import mmdet.utils
import pytest
import torch
import torch.distributed as dist
from mmcv.parallel import DataContainer, MMDataParallel, MMDistributedDataParallel, is_module_wrapper
from mmcv.runner import EpochBasedRunner, epoch_based_runner, save_checkpoint
from mmcv.runner.optimizer import default_constructor
from mmcv.utils import build_from_cfg
from mmdet.core.hook.yolox_lrupdater_hook import YOLOXLrUpdaterHook
from mmdet.datasets import PIPELINES
from torch import nn

import ms2a.plugin  # noqa: F401  applies the repairs
from benchmarks.detectors import PLAIN, random_detector
from ms2a.engine import compat

nms_module = importlib.import_module("mmcv.ops.nms")


class FakeCudaTensor(torch.Tensor):
    """A tensor in main memory that says it is on a GPU."""

    is_cuda = True


class Doubler(nn.Module):
    """Stands for a detector: what it gets must be plain tensors and lists."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, img, img_metas, **kwargs):
        assert torch.is_tensor(img) and isinstance(img_metas, list)
        return self.weight * img

    def train_step(self, data, optimizer):
        return dict(loss=self(**data).sum(), log_vars={}, num_samples=len(data["img_metas"]))

    val_step = train_step


def collated(values):
    return dict(
        img=DataContainer([torch.tensor(values)], stack=True),
        img_metas=DataContainer([[dict(domain="fog")] * len(values)], cpu_only=True),
    )


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_applying_again_changes_nothing():
    before = (MMDistributedDataParallel.train_step, mmdet.apis.train.build_ddp, nms_module.ext_module, mmcv.symlink)
    compat.apply()
    after = (MMDistributedDataParallel.train_step, mmdet.apis.train.build_ddp, nms_module.ext_module, mmcv.symlink)
    assert before == after


def test_streams_are_asked_for_by_device(monkeypatch):
    asked = []
    monkeypatch.setattr(mmcv.parallel._functions, "_get_stream", asked.append)
    compat.give_get_stream_a_device()
    for device in (1, torch.device("cpu")):
        mmcv.parallel._functions._get_stream(device)
    assert asked == [torch.device("cuda", 1), torch.device("cpu")]


def test_ddp_on_the_cpu_trains_and_tests_with_data_containers(process_group):
    model = mmdet.apis.train.build_ddp(Doubler(), "cpu", device_ids=[0], broadcast_buffers=False)
    assert isinstance(model, MMDistributedDataParallel) and mmdet.utils.build_ddp is mmdet.apis.train.build_ddp
    outputs = model.train_step(collated([1.0, 3.0]), None)
    outputs["loss"].backward()
    assert outputs["num_samples"] == 2
    assert model.module.weight.grad.item() == pytest.approx(4.0)
    assert model.val_step(collated([5.0]), None)["loss"].item() == pytest.approx(10.0)
    with torch.no_grad():
        assert model(**collated([7.0])).tolist() == [14.0]


def test_build_ddp_leaves_other_devices_to_mmdet():
    with pytest.raises(AssertionError, match="Only available for cuda"):
        mmdet.utils.build_ddp(Doubler(), "abacus")


def test_data_parallel_stays_on_the_cpu_where_torch_sees_a_gpu(monkeypatch):
    module = importlib.import_module("torch.nn.parallel.data_parallel")
    monkeypatch.setattr(module, "_get_available_device_type", lambda: "cuda")
    model = mmdet.utils.build_dp(Doubler(), "cpu", device_ids=[0])
    assert isinstance(model, MMDataParallel) and is_module_wrapper(model)
    assert model.train_step(collated([1.0]), None)["loss"].item() == pytest.approx(2.0)
    assert model(**collated([7.0])).tolist() == [14.0]


@pytest.mark.parametrize("offset", [0, 1])
def test_nms_of_gpu_tensors_equals_mmcvs(offset):
    assert nms_module.ext_module.get_compiling_cuda_version() == "not available"
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(300, 2, generator=generator) * 100
    boxes = torch.cat([corners, corners + 5 + torch.rand(300, 2, generator=generator) * 40], dim=1)
    scores = torch.rand(300, generator=generator)
    settings = dict(iou_threshold=0.4, offset=offset, score_threshold=0.2, max_num=40)
    expected, expected_kept = nms_module.nms(boxes, scores, **settings)
    dets, kept = nms_module.nms(boxes.as_subclass(FakeCudaTensor), scores.as_subclass(FakeCudaTensor), **settings)
    assert 1 < len(expected_kept) <= 40
    assert torch.equal(kept.as_subclass(torch.Tensor), expected_kept)
    assert torch.equal(dets.as_subclass(torch.Tensor), expected)


def test_mmcv_with_cuda_operators_keeps_them(monkeypatch):
    own = object()
    with_cuda = SimpleNamespace(get_compiling_cuda_version=lambda: "12.8", nms=own)
    monkeypatch.setattr(nms_module, "ext_module", with_cuda)
    compat.give_nms_a_cuda_implementation()
    assert nms_module.ext_module is with_cuda and with_cuda.nms is own


def test_operators_are_found_without_pkgutil(monkeypatch):
    monkeypatch.delattr("pkgutil.find_loader", raising=False)
    assert default_constructor.check_ops_exist()


def test_soft_nms_is_untouched():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]])
    dets, kept = nms_module.soft_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.5)
    assert kept.tolist() == [0, 2, 1]
    assert dets[2, 4] == pytest.approx(0.8 * 0.1, abs=1e-5)


def test_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "epoch_1.pth"
    save_checkpoint(Doubler(), str(path), meta=dict(epoch=1))
    before = path.read_bytes()

    def break_off(value, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", break_off)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(Doubler(), str(path), meta=dict(epoch=2))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["epoch_1.pth"]


def test_runner_saves_whole_checkpoints_and_the_link_is_never_missing(tmp_path, monkeypatch):
    runner = EpochBasedRunner(Doubler(), work_dir=str(tmp_path), logger=mmcv.get_logger("mmdet"), max_epochs=1)
    runner.save_checkpoint(str(tmp_path), filename_tmpl="epoch_{}.pth")
    assert os.readlink(tmp_path / "latest.pth") == "epoch_1.pth"
    monkeypatch.setattr(os, "remove", lambda path: pytest.fail(f"{path} was removed"))
    runner._epoch = 1
    runner.save_checkpoint(str(tmp_path), filename_tmpl="epoch_{}.pth")
    assert os.readlink(tmp_path / "latest.pth") == "epoch_2.pth"
    assert sorted(os.listdir(tmp_path)) == ["epoch_1.pth", "epoch_2.pth", "latest.pth"]
    assert torch.load(tmp_path / "latest.pth", weights_only=True)["meta"]["epoch"] == 2


def test_resuming_does_not_run_the_config_in_a_checkpoint(tmp_path):
    trap = tmp_path / "ran"
    meta = dict(epoch=3, iter=9, config=f"open({str(trap)!r}, 'w')")
    save_checkpoint(Doubler(), str(tmp_path / "evil.pth"), meta=meta)
    logger = mmcv.get_logger("mmdet")
    runner = EpochBasedRunner(Doubler(), work_dir=str(tmp_path), logger=logger, meta=dict(config="mine"), max_epochs=5)
    runner.resume(str(tmp_path / "evil.pth"))
    assert not trap.exists()
    assert (runner.epoch, runner.iter, runner.meta["config"]) == (3, 9, "mine")


def lr_hook(warmup_epochs, last_epochs):
    hook = YOLOXLrUpdaterHook(num_last_epochs=last_epochs, min_lr_ratio=0.05, by_epoch=False)
    hook.warmup_iters = 10 * warmup_epochs
    return hook


def runner_at(iteration, max_epochs):
    return SimpleNamespace(data_loader=range(10), iter=iteration, max_iters=10 * max_epochs)


def test_yolox_lr_with_nothing_between_warm_up_and_last_epochs():
    hook = lr_hook(warmup_epochs=1, last_epochs=2)
    assert hook.get_lr(runner_at(0, max_epochs=3), 0.1) == pytest.approx(0.1)
    assert hook.get_lr(runner_at(8, max_epochs=3), 0.1) == pytest.approx(0.1)
    assert hook.get_lr(runner_at(9, max_epochs=3), 0.1) == pytest.approx(0.005)


def test_yolox_lr_is_mmdets_where_there_is_something_to_anneal():
    hook = lr_hook(warmup_epochs=1, last_epochs=2)
    # Half way between iterations 10 and 30 the cosine is half way between 0.1 and 0.005.
    assert hook.get_lr(runner_at(19, max_epochs=5), 0.1) == pytest.approx((0.1 + 0.005) / 2)


def test_no_epochs_to_warm_up_are_no_warm_up():
    """mmcv asks for a positive number of them, so that ``warmup_epochs=0`` could not be said."""
    schedule = dict(warmup="exp", warmup_by_epoch=True, by_epoch=False, num_last_epochs=1, min_lr_ratio=0.05)
    assert YOLOXLrUpdaterHook(warmup_iters=0, **schedule).warmup is None
    assert YOLOXLrUpdaterHook(warmup_iters=1, **schedule).warmup == "exp"


def test_no_pause_between_epochs_of_one_process(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    epoch_based_runner.time.sleep(2)
    assert slept == []
    monkeypatch.setattr(compat, "get_dist_info", lambda: (0, 2))
    epoch_based_runner.time.sleep(2)
    assert slept == [2]


def test_building_a_detector_and_its_mixing_says_nothing(capfd, caplog):
    random_detector(PLAIN, size_hw=(64, 96))
    build_from_cfg(dict(type="Mosaic", img_scale=(64, 96)), PIPELINES)
    build_from_cfg(dict(type="MixUp", img_scale=(64, 96)), PIPELINES)
    assert not caplog.records and capfd.readouterr() == ("", "")
