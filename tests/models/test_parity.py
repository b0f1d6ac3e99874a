"""The released method, reproduced from reference inputs and outputs."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.runner import load_state_dict
from mmdet.models import build_detector

from ms2a.artefacts import load_torch
from tools.model_converters.release_to_ms2a import main as convert

ROOT = Path(__file__).resolve().parents[2]
PARITY = Path(os.environ.get("MS2A_PARITY", ROOT.parent / "shared" / "data" / "parity"))
pytestmark = pytest.mark.skipif(
    not PARITY.is_dir(), reason=f"reference numbers not found at {PARITY}; name their folder with MS2A_PARITY"
)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def reference():
    return {name: torch.from_numpy(value) for name, value in np.load(PARITY / "detector.npz").items()}


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    converted = tmp_path_factory.mktemp("parity") / "converted.pth"
    convert([str(PARITY / "detector.pth"), str(converted), "--domains", "source", "target"])
    memory = dict(domains=["source", "target"], num_prototypes=12, sizes_hw=[(12, 20), (6, 10), (3, 5)])
    model = build_detector(
        dict(
            type="MS2AYOLOX",
            backbone=dict(type="CSPDarknet", deepen_factor=0.33, widen_factor=0.125),
            neck=dict(type="YOLOXPAFPN", in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1),
            bbox_head=dict(type="MS2AYOLOXHead", num_classes=3, in_channels=32, feat_channels=32),
            adapter=dict(type="MemoryAdapter", channels=32, query="memory", memory=memory),
            foreground=dict(type="ForegroundBranch", in_channels=128, loss=dict(type="DiceLoss")),
            default_domain="target",
        )
    ).eval()
    load_state_dict(model, load_torch(converted, "checkpoint")["state_dict"], strict=True)
    return model


@torch.no_grad()
def test_every_reference_array(detector, reference):
    stages = detector.backbone(reference["image"])
    neck = detector.neck(stages)
    adapted = detector.adapter(neck, ["source", "target"])
    raw = detector.bbox_head(adapted)
    computed = {"fg_logits": detector.foreground(stages[-1])}
    for level in range(3):
        computed |= {f"neck{level}": neck[level], f"adapted{level}": adapted[level]}
        computed |= {f"{name}{level}": maps[level] for name, maps in zip(("cls", "box", "obj"), raw, strict=True)}
    assert set(computed) == set(reference) - {"image"}
    errors = {name: (computed[name] - reference[name]).abs().max().item() for name in computed}
    assert max(errors.values()) < TOLERANCE, errors


@torch.no_grad()
def test_the_whole_detector_reads_each_images_domain(detector, reference):
    """Through the detector's own path, with the domains in img_metas, in both orders."""
    for order in ([0, 1], [1, 0]):
        metas = [{"domain": ["source", "target"][i]} for i in order]
        with detector._reading(metas):
            maps = detector.extract_feat(reference["image"][order])
        for level in range(3):
            torch.testing.assert_close(maps[level], reference[f"adapted{level}"][order], atol=TOLERANCE, rtol=0)
