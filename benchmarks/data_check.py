"""How fast the check of a data set is beside decoding every picture, and how much memory it takes.

benchmarks/data_check.py [--pictures 2000] [--size 1200 1672] [--memory 1000 10000]: draws JPEGs of 2 megapixels into a
temporary folder, annotates them, and prints seconds of: decoding all as training does, the first check, the second
check of the same files. Then the peak memory of a check of few and of many pictures, each in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ms2a.datasets.check.sets import check_set
from ms2a.datasets.load_picture import read_picture
from ms2a.errors import run_main

KINDS = 8  # different pictures that are written again and again, each time with other bytes at its end


def make_set(folder: Path, count: int, size_hw: tuple[int, int]) -> dict:
    """Writes ``count`` JPEGs of one size with ten boxes each; returns the COCO dictionary."""
    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(KINDS):
        coarse = rng.integers(0, 255, (size_hw[0] // 16, size_hw[1] // 16, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
        picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
        encoded.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    coco = dict(images=[], annotations=[], categories=[dict(id=1, name="part")])
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        # Decoders stop at the end marker; the rest makes every file another size and content.
        (folder / f"{number:05d}.jpg").write_bytes(encoded[number % KINDS] + bytes(number // KINDS) + b"%d" % number)
        coco["images"].append(dict(id=number, file_name=f"{number:05d}.jpg", height=size_hw[0], width=size_hw[1]))
        for box in range(10):
            entry = dict(id=len(coco["annotations"]) + 1, image_id=number, category_id=1, area=8000, iscrowd=0)
            coco["annotations"].append({**entry, "bbox": [100 * box, 50, 80, 100]})
    return coco


def seconds_of(action) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def decode(paths: Sequence[Path]) -> None:
    """Decodes every picture, one at a time."""
    for path in paths:
        read_picture(path)


def measure_memory(count: int) -> None:
    """Checks a set of small pictures and prints the peak memory before and after, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        coco = make_set(Path(folder, "images"), count, (240, 320))
        check_set({**coco, "images": coco["images"][:1], "annotations": coco["annotations"][:10]}, f"{folder}/images")
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew
        before = peak_mib()
        check_set(coco, f"{folder}/images")
        print(json.dumps([before, peak_mib()]))


def peak_mib() -> float:
    """The largest resident memory of this process since its peak was reset, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--size", type=int, nargs=2, default=(1200, 1672), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--memory", type=int, nargs="*", default=(1000, 10000), help="numbers of pictures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        measure_memory(args.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        coco = make_set(Path(folder, "images"), args.pictures, tuple(args.size))
        paths = sorted(Path(folder, "images").iterdir())
        for path in paths:  # all in the file system's cache, for both sides
            path.read_bytes()
        first = seconds_of(lambda: check_set(coco, f"{folder}/images"))
        decoding = seconds_of(lambda: decode(paths))
        second = seconds_of(lambda: check_set(coco, f"{folder}/images"))
    size = "x".join(map(str, args.size[::-1]))
    print(f"{args.pictures} JPEGs of {size}: decoding all {decoding:.2f} s")
    print(f"first check {first:.3f} s, {decoding / first:.0f} times as fast")
    print(f"second check {second:.3f} s, {decoding / second:.0f} times as fast")
    for count in args.memory:
        command = [sys.executable, __file__, "--one", str(count)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        before, after = json.loads(found)
        print(f"{count} pictures: peak memory {after:.0f} MiB, {after - before:+.1f} MiB during the check")


if __name__ == "__main__":
    run_main(main)
