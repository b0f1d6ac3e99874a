"""Repairs of mmcv 1.7.2 and mmdet 2.28.2 on current torch releases, each with its reason; applied by ``ms2a.plugin``.

Both libraries are frozen, and torch has moved on since. Every repair is one function that replaces or wraps a few lines
of theirs, only where the fault is present.
"""

import contextlib
import functools
import importlib.util
import os
import re
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmcv
import mmcv.parallel._functions
import mmdet.apis.train
import mmdet.datasets.pipelines.transforms
import mmdet.models.detectors.yolox
import mmdet.utils.util_distribution
import torch
from mmcv import Config
from mmcv.parallel import MMDataParallel, MMDistributedDataParallel
from mmcv.parallel.scatter_gather import scatter_kwargs
from mmcv.runner import BaseRunner, epoch_based_runner, get_dist_info, iter_based_runner
from mmcv.runner import checkpoint as mmcv_checkpoint
from mmcv.runner.optimizer import default_constructor
from mmdet.datasets.pipelines import Collect
from torch import Tensor, nn

from ms2a import operators
from ms2a.artefacts import atomic_path
from ms2a.config_references import fill_references
from ms2a.engine.kept import kept_settings_told
from ms2a.engine.lr_repairs import anneal_yolox_lr_over_no_epochs, take_no_epochs_to_warm_up_for_no_warm_up
from ms2a.errors import UserError

# The package mmcv.ops binds the function "nms" over the module of that name.
mmcv_nms = importlib.import_module("mmcv.ops.nms")


def apply() -> None:
    """Applies every repair; calling it again changes nothing."""
    # The mark is kept on mmcv, the thing changed, so that it outlives a reload of this module.
    if getattr(mmcv, "_repaired_by_ms2a", False):
        return
    give_get_stream_a_device()
    run_ddp_forward_without_replicated_tensors()
    scatter_batches_of_ddp_on_the_cpu()
    build_ddp_on_the_cpu()
    keep_data_parallel_on_the_cpu()
    give_nms_a_cuda_implementation()
    look_for_operators_without_pkgutil()
    write_checkpoints_whole()
    never_run_the_config_of_a_checkpoint()
    anneal_yolox_lr_over_no_epochs()
    take_no_epochs_to_warm_up_for_no_warm_up()
    pause_between_epochs_only_when_distributed()
    fill_references_of_configs_from_files()
    file_names_in_configs_are_no_code()
    collect_images_without_a_domain()
    build_without_a_word()
    mmcv._repaired_by_ms2a = True


def give_get_stream_a_device() -> None:
    """Mmcv's ``Scatter`` passes a GPU's index to torch's ``_get_stream``, which since torch 2.1 wants a device."""
    original = mmcv.parallel._functions._get_stream

    @functools.wraps(original)
    def get_stream(device: int | torch.device) -> Any:
        return original(torch.device("cuda", device) if isinstance(device, int) else device)

    mmcv.parallel._functions._get_stream = get_stream


def run_ddp_forward_without_replicated_tensors() -> None:
    """Mmcv's ``_run_ddp_forward`` reads ``_use_replicated_tensor_module``, which torch 2.1 removed.

    The replicated module was an experiment of torch's, off by default; the plain module is what ran anyway.
    """

    def run_ddp_forward(self: MMDistributedDataParallel, *inputs: Any, **kwargs: Any) -> Any:
        device_id = self.device_ids[0] if self.device_ids else -1
        inputs, kwargs = self.to_kwargs(inputs, kwargs, device_id)
        return self.module(*inputs[0], **kwargs[0])

    MMDistributedDataParallel._run_ddp_forward = run_ddp_forward


def scatter_batches_of_ddp_on_the_cpu() -> None:
    """On the CPU mmcv's DDP hands ``train_step`` its DataContainers unopened; -1 is mmcv's name for the CPU."""

    def opened(step: Callable) -> Callable:
        @functools.wraps(step)
        def wrapper(self: MMDistributedDataParallel, *inputs: Any, **kwargs: Any) -> Any:
            if not self.device_ids:
                inputs, kwargs = scatter_kwargs(inputs, kwargs, [-1], dim=self.dim)
                inputs, kwargs = inputs[0], kwargs[0]
            return step(self, *inputs, **kwargs)

        return wrapper

    MMDistributedDataParallel.train_step = opened(MMDistributedDataParallel.train_step)
    MMDistributedDataParallel.val_step = opened(MMDistributedDataParallel.val_step)


def build_ddp_on_the_cpu() -> None:
    """Mmdet's ``build_ddp`` refuses the CPU, where DDP works over gloo and takes no device ids."""
    original = mmdet.utils.util_distribution.build_ddp

    @functools.wraps(original)
    def build_ddp(model: nn.Module, device: str = "cuda", *args: Any, **kwargs: Any) -> nn.Module:
        if device != "cpu":
            return original(model, device, *args, **kwargs)
        kwargs.pop("device_ids", None)
        return MMDistributedDataParallel(model, *args, **kwargs)

    # mmdet's train module and its package hold their own references to the function.
    for module in (mmdet.utils.util_distribution, mmdet.utils, mmdet.apis.train):
        module.build_ddp = build_ddp


class CPUDataParallel(MMDataParallel):
    """MMDataParallel that stays on the CPU though a GPU is there."""

    def __init__(self, module: nn.Module, *_: Any, dim: int = 0, **__: Any):
        # DataParallel's own __init__ would move the module to a GPU.
        nn.Module.__init__(self)
        self.module = module
        self.device_ids = []
        self.dim = dim


def keep_data_parallel_on_the_cpu() -> None:
    """On a machine with a GPU, mmdet's ``build_dp(model, 'cpu')`` moves the model to that GPU."""
    mmdet.utils.util_distribution.dp_factory["cpu"] = CPUDataParallel


def give_nms_a_cuda_implementation() -> None:
    """Mmcv built without CUDA has no NMS for tensors on a GPU; soft-NMS computes on the CPU in every build."""
    extension = mmcv_nms.ext_module
    if extension.get_compiling_cuda_version() == "not available":
        compiled = extension.nms

        @functools.wraps(compiled)
        def nms(bboxes: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            return (operators.nms if bboxes.is_cuda else compiled)(bboxes, *args, **kwargs)

        extension.nms = nms


def look_for_operators_without_pkgutil() -> None:
    """Mmcv's optimizer constructor asks ``pkgutil.find_loader`` for the operators, which Python 3.14 removed."""
    default_constructor.check_ops_exist = lambda: importlib.util.find_spec("mmcv._ext") is not None


def write_checkpoints_whole() -> None:
    """Mmcv writes checkpoints in place and removes ``latest.pth`` before making it anew: a kill loses both."""
    save_in_place = mmcv_checkpoint.save_checkpoint

    @functools.wraps(save_in_place)
    def save_checkpoint(model: nn.Module, filename: str, *args: Any, **kwargs: Any) -> None:
        # pavi://, s3:// and the like are not paths.
        if "://" in str(filename):
            save_in_place(model, filename, *args, **kwargs)
            return
        with atomic_path(filename, durable=True) as temporary:
            save_in_place(model, str(temporary), *args, **kwargs)

    def symlink(src: str, dst: str, overwrite: bool = True, **kwargs: Any) -> None:
        if not overwrite:
            os.symlink(src, dst, **kwargs)
            return
        folder = tempfile.mkdtemp(dir=Path(dst).parent, prefix=".link.")
        try:
            # A relative target is resolved where the link ends up, not here.
            os.symlink(src, Path(folder, "link"), **kwargs)
            os.replace(Path(folder, "link"), dst)
        finally:
            os.rmdir(folder)

    for module in (mmcv_checkpoint, epoch_based_runner, iter_based_runner, mmcv.runner):
        module.save_checkpoint = save_checkpoint
    mmcv.symlink = symlink


def never_run_the_config_of_a_checkpoint() -> None:
    """Mmcv's ``resume`` runs the config text in a checkpoint as Python code, to learn the number of GPUs then.

    What is lost is mmcv's guess of the iteration where that number changed. The run goes on recording its own config.
    """
    load, resume = BaseRunner.load_checkpoint, BaseRunner.resume

    @functools.wraps(load)
    def load_without_config(self: BaseRunner, *args: Any, **kwargs: Any) -> dict:
        checkpoint = load(self, *args, **kwargs)
        checkpoint.get("meta", {}).pop("config", None)
        return checkpoint

    @functools.wraps(resume)
    def resume_with_own_config(self: BaseRunner, *args: Any, **kwargs: Any) -> None:
        config = (self.meta or {}).get("config")
        with kept_settings_told(self.optimizer, str(args[0])):
            resume(self, *args, **kwargs)
        self.meta["config"] = config

    BaseRunner.load_checkpoint = load_without_config
    BaseRunner.resume = resume_with_own_config


def pause_between_epochs_only_when_distributed() -> None:
    """Mmcv's runner sleeps two seconds an epoch against a deadlock between processes, also where there is one only."""

    def sleep(seconds: float) -> None:
        if get_dist_info()[1] > 1:
            time.sleep(seconds)

    clock = types.SimpleNamespace(**{name: value for name, value in vars(time).items() if not name.startswith("_")})
    clock.sleep = sleep
    epoch_based_runner.time = clock


def fill_references_of_configs_from_files() -> None:
    """Mmdet fills in references like ``"${img_scale}"`` in its tools, one level deep, in ``init_detector`` not at all.

    ``Config.fromfile`` imports the plug-in and then makes a Config with a file name: from there on they are filled in.
    A base that refers to keys of its leaves stays as it is.
    """
    original = Config.__init__

    @functools.wraps(original)
    def init(self: Config, cfg_dict: dict | None = None, cfg_text: str | None = None, filename: Any = None) -> None:
        if cfg_dict is not None and filename is not None:
            with contextlib.suppress(UserError):
                cfg_dict = fill_references(cfg_dict, filename)
        original(self, cfg_dict, cfg_text, filename)

    Config.__init__ = init


def file_names_in_configs_are_no_code() -> None:
    """Mmcv puts a config's folder and name into its text as they are, where a quote in a name ends a string."""

    def quoted(name: str) -> str:
        return "".join(f"\\u{ord(sign):04x}" if sign in "\"'\\{}" or sign < " " else sign for sign in name)

    def substitute(filename: str, temp_config_name: str) -> None:
        path = Path(filename)
        names = dict(fileDirname=str(path.parent), fileBasename=path.name, fileBasenameNoExtension=path.stem)
        names["fileExtname"] = path.suffix
        text = path.read_text(encoding="utf-8")
        text = re.sub(rf"\{{\{{\s*({'|'.join(names)})\s*\}}\}}", lambda found: quoted(names[found[1]]), text)
        Path(temp_config_name).write_text(text, encoding="utf-8")

    Config._substitute_predefined_vars = staticmethod(substitute)


def collect_images_without_a_domain() -> None:
    """Mmdet's ``inference_detector`` gives images no domain, and ``Collect`` stops at a meta key that is not there.

    The detector knows the default: an image without a domain belongs to the target.
    """
    original = Collect.__call__

    @functools.wraps(original)
    def collect(self: Collect, results: dict) -> dict:
        if "domain" in self.meta_keys:
            results.setdefault("domain", None)
        return original(self, results)

    Collect.__call__ = collect


def build_without_a_word() -> None:
    """Mmdet's YOLOX, Mosaic and MixUp tell a size that is not square by a logger that writes to the terminal."""
    for module in (mmdet.models.detectors.yolox, mmdet.datasets.pipelines.transforms):
        module.log_img_scale = lambda *_, **__: False
