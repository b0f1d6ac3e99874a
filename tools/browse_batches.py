"""Draws what the network is fed in training: tools/browse_batches.py CONFIG --out-dir DIR --num N."""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ms2a.analysis.batches import draw_training_image
from ms2a.analysis.browse import NetworkInput, network_inputs
from ms2a.artefacts import atomic_path
from ms2a.config import add_cfg_options, load_config
from ms2a.errors import UserError, run_main, seed


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config of a training stage")
    parser.add_argument("--out-dir", required=True, help="folder for the pictures")
    parser.add_argument("--num", type=int, default=16, help="how many images (default: 16)")
    parser.add_argument("--seed", type=seed, default=0, help="of the order, the mixing and the sizes (default: 0)")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def draw(item: NetworkInput) -> np.ndarray:
    """The picture of one image."""
    image = item.image.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    height, width = image.shape[:2]
    caption = f"{item.domain or 'no domain'}  {width} x {height}  {item.name}"
    mask = None if item.mask is None else item.mask.numpy()
    return draw_training_image(image, item.boxes_xyxy.numpy(), item.labels.tolist(), item.classes, caption, mask)


def main(argv: Sequence[str] | None = None) -> None:
    """Writes NNNN_<domain>.jpg."""
    args = parse_args(argv)
    if args.num < 1:
        raise UserError(f"--num {args.num} must be 1 or more")
    cfg = load_config(args.config, args.cfg_options)
    folder = Path(args.out_dir)
    items = islice(network_inputs(cfg, args.seed), args.num)
    for number, item in enumerate(tqdm(items, total=args.num, desc="images", unit="image")):
        with atomic_path(folder / f"{number:04d}_{item.domain or 'image'}.jpg") as path:
            cv2.imwrite(str(path), draw(item))
    print(f"wrote {number + 1} pictures to {folder}")


if __name__ == "__main__":
    run_main(main)
