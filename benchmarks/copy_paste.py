"""CopyPaste between domains by arithmetic of boxes against a full-size mask a box, as in mmdet's CopyPaste.

Seconds and additional memory of one image of 3000×2000 pixels with 300 boxes, which takes the masks several GiB, and of
one of 320×128 with 5; both sides in turn on the same pictures. Labels are compared besides.
"""

import tracemalloc
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.compare import parse_args, report, time_in_turn
from ms2a.datasets.transforms import BoxMasks, CrossDomainCopyPaste


class MaskPerBox(CrossDomainCopyPaste):
    """The same transform with a mask as large as the image for every box."""

    def gen_masks_from_bboxes(self, bboxes: np.ndarray, img_shape: tuple[int, ...]) -> BoxMasks:
        """N masks."""
        self.paste_by_box = True
        return BoxMasks(bboxes, img_shape[:2])


def make_sample(rng: np.random.Generator, size_hw: tuple[int, int], num_boxes: int, label: int) -> dict:
    """A picture of noise with boxes of up to an eighth of its sides."""
    corner = rng.uniform(0, 0.875, (num_boxes, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.01, 0.125, (num_boxes, 2))], axis=1)
    return dict(
        img=rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8),
        gt_bboxes=(boxes * ([size_hw[1], size_hw[0]] * 2)).astype(np.float32),
        gt_labels=np.full(num_boxes, label),
        mask_fields=[],
    )


def call(side: CrossDomainCopyPaste, canvas: dict, partner: dict, repeats: int) -> None:
    """Pastes so often."""
    for _ in range(repeats):
        side({**canvas, "mix_results": [dict(partner)]})


def peak_mib(transform: CrossDomainCopyPaste, canvas: dict, partner: dict) -> float:
    """Memory that one call takes besides its inputs."""
    tracemalloc.start()
    transform({**canvas, "mix_results": [dict(partner)]})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def main(argv: Sequence[str] | None = None) -> None:
    """Runs both sizes."""
    args = parse_args(__doc__, argv, boxes=300, height=2000, width=3000)
    for size_hw, num_boxes in (((args.height, args.width), args.boxes), ((128, 320), 5)):
        rng = np.random.default_rng(0)
        name = f"{num_boxes} boxes of {size_hw[1]}x{size_hw[0]}"
        canvas, partner = (make_sample(rng, size_hw, num_boxes, label) for label in (0, 1))
        sides = MaskPerBox(selected=False), CrossDomainCopyPaste(selected=False)
        by_mask, by_box = (side({**canvas, "mix_results": [dict(partner)]}) for side in sides)
        for key in ("img", "gt_bboxes", "gt_labels"):
            np.testing.assert_array_equal(by_mask[key], by_box[key], err_msg=key)
        repeats = 1 if num_boxes > 5 else 200
        calls = [partial(call, side, canvas, partner, repeats) for side in sides]
        masks, boxes = time_in_turn(calls, args.rounds)
        peaks = [peak_mib(side, canvas, partner) for side in sides]
        large = num_boxes > 5
        report(
            f"Speed of copy-paste, {name}",
            masks,
            boxes,
            "≥ 100" if large else "≥ 1",
            args.results,
            seconds=f"{min(masks) / repeats:.4f} by masks, {min(boxes) / repeats:.5f} by boxes",
        )
        report(
            f"Memory of copy-paste, {name}",
            peaks[1:],
            peaks[:1],
            "≤ 0.05" if large else "≤ 1",
            args.results,
            mib=f"{peaks[0]:.1f} by masks, {peaks[1]:.1f} by boxes",
        )


if __name__ == "__main__":
    main()
