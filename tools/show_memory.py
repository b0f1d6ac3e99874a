"""Draws what a trained detector remembers, and which parts of it an image reads.

tools/show_memory.py CONFIG CHECKPOINT OUT_DIR [--img FILE …]: OUT_DIR/prototypes.png, and for each image
OUT_DIR/<name>_level<l>.png with the attention of a few of its windows in the first adaptation layer. It also says how
much the attention depends on the window that asks: 0 where all windows read the same. With --colours also
OUT_DIR/<name>_colours.png, the image in the colours of each cluster of a NAME_colour_cluster.pth.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch

from ms2a.adaptation.attention import attention_weights
from ms2a.analysis.memory import attention_sheet, colour_sheet, prototype_sheet
from ms2a.artefacts import atomic_path
from ms2a.config import add_cfg_options, load_config
from ms2a.datasets import ImageFolderDataset, MemoryColour
from ms2a.errors import UserError, run_main
from ms2a.memory.domains import choose_domain
from ms2a.models import VectorMemoryAdapter
from ms2a.models.build import build_model
from ms2a.storage.image_batches import first_view, memory_pipeline

SHOWN = [(2, 2), (5, 5), (7, 8)]
"""Rows and columns of the windows, of 10 × 10, whose attention is drawn."""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="config of the detector")
    parser.add_argument("checkpoint", help="its trained weights, which hold the memory")
    parser.add_argument("out_dir", type=Path, help="folder for the pictures")
    parser.add_argument("--img", nargs="*", default=[], help="images to show the attention of")
    parser.add_argument("--domain", help="whose memory they read; default: the target's")
    parser.add_argument("--colours", metavar="FILE", help="colours to show the images in")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def layer_attention(model: torch.nn.Module, level: int, image: torch.Tensor, domain: str) -> np.ndarray:
    """Attention of the first layer of a level, (100, 100): of the image's 10 × 10 windows to the memory's."""
    layer, seen = model.adapter.levels[level].layers[0], []
    hook = layer.register_forward_hook(lambda _layer, inputs, _output: seen.extend(inputs))
    with torch.no_grad():
        model.adapter(model.neck(model.backbone(image)), [domain])
        hook.remove()
        query, key, _, _ = layer.sides(*seen)
    weights = attention_weights(query, key, layer.num_heads)[0].mean(0)  # (100, 129)
    return weights[:, :100].numpy()


def reading_varies(weights: np.ndarray) -> float:
    """How much what is read depends on who reads: mean total variation, in 0–1, of the windows from their mean."""
    return float(np.abs(weights - weights.mean(0)).sum(1).mean() / 2)


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the pictures."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    model = build_model(cfg, args.checkpoint)
    if not model.domains or isinstance(model.adapter, VectorMemoryAdapter):
        raise UserError(f"config {args.config} has no memory of maps to draw")
    domain = choose_domain(args.domain, model.domains, model.default_domain)
    levels = range(len(model.adapter.levels))
    with torch.no_grad():
        memories = {name: [model.adapter.memory(name, level).numpy() for level in levels] for name in model.domains}
    pictures = {"prototypes": prototype_sheet(memories)}
    colours = MemoryColour(args.colours).colours if args.colours else None
    images = ImageFolderDataset(args.img, memory_pipeline(cfg), domain=domain) if args.img else ()
    for index in range(len(images)):
        if (result := images[index]) is None:
            raise UserError(f"image {images.path(index)} is missing or unreadable")
        image, stem = first_view(result), Path(images.names[index]).stem
        if colours is not None:
            pictures[f"{stem}_colours"] = colour_sheet(mmcv.imread(images.path(index)), colours)
        shown = np.ascontiguousarray(image.permute(1, 2, 0).byte().numpy())
        for level in levels if model.adapter.levels[0].layers[0].query == "feature" else ():
            weights = layer_attention(model, level, image[None], domain)
            varies = reading_varies(weights / weights.sum(1, keepdims=True))
            print(f"{images.names[index]}, level {level + 1}: attention varies by {varies:.2f} of 1 between windows")
            pictures[f"{stem}_level{level + 1}"] = attention_sheet(shown, weights, SHOWN)
    for name, picture in pictures.items():
        with atomic_path(args.out_dir / f"{name}.png") as path:
            cv2.imwrite(str(path), picture)
    print(f"wrote {', '.join(f'{name}.png' for name in pictures)} to {args.out_dir}")


if __name__ == "__main__":
    run_main(main)
