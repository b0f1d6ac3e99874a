"""A tiny detector and batches for it, without files."""

import numpy as np
import torch
from mmcv import ConfigDict
from mmdet.models import build_detector

SIZES = [(8, 12), (4, 6), (2, 3)]
INPUT_HW = (64, 96)


def model_config(query="feature", activation="Swish", **extra):
    """The config of a detector of 32 channels with two domains' memories of 4 prototypes."""
    act_cfg = dict(type=activation)
    config = dict(
        type="MS2AYOLOX",
        input_size=INPUT_HW,
        random_size_range=(1, 3),
        random_size_interval=1,
        default_domain="night",
        backbone=dict(type="CSPDarknet", deepen_factor=0.33, widen_factor=0.125, act_cfg=act_cfg),
        neck=dict(type="YOLOXPAFPN", in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1, act_cfg=act_cfg),
        bbox_head=dict(type="MS2AYOLOXHead", num_classes=2, in_channels=32, feat_channels=32, act_cfg=act_cfg),
        adapter=dict(
            type="MemoryAdapter",
            channels=32,
            query=query,
            memory=dict(domains=["day", "night"], num_prototypes=4, sizes_hw=SIZES),
        ),
        foreground=dict(
            type="ForegroundBranch",
            in_channels=128,
            loss=dict(type="DiceLoss", use_sigmoid=True, activate=True, loss_weight=2.0),
        ),
        train_cfg=dict(assigner=dict(type="SimOTAAssigner", center_radius=2.5)),
        test_cfg=dict(score_thr=0.0, nms=dict(type="nms", iou_threshold=0.6), max_per_img=7),
    )
    return ConfigDict(config | extra)


def build(filled=True, **kwargs):
    """That detector, its memory filled with noise if asked for."""
    torch.manual_seed(0)
    model = build_detector(model_config(**kwargs))
    model.init_weights()
    if filled:
        for domain in model.domains:
            model.adapter.memory.load_prototypes(domain, [torch.randn(4, *size) for size in SIZES])
    return model


def metas(*domains, flip=False):
    """What travels with images of the given domains."""
    common = dict(img_shape=(*INPUT_HW, 3), ori_shape=(*INPUT_HW, 3), scale_factor=np.ones(4, np.float32))
    return [dict(common, domain=domain, flip=flip, flip_direction="horizontal") for domain in domains]


def batch(*domains):
    """A training batch, one box an image."""
    boxes = [torch.tensor([[10.0, 10.0, 60.0, 50.0]]) for _ in domains]
    labels = [torch.tensor([1]) for _ in domains]
    img = torch.rand(len(domains), 3, *INPUT_HW) * 255
    return dict(img=img, img_metas=metas(*domains), gt_bboxes=boxes, gt_labels=labels)
