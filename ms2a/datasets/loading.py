"""Reading a training image at the size at which it will be mixed."""

import mmcv
import numpy as np
from mmdet.datasets import PIPELINES

from ms2a.datasets.load_picture import LoadPicture


@PIPELINES.register_module()
class LoadReducedImage(LoadPicture):
    """``LoadPicture`` that reduces an image which sticks out of a frame, and its boxes with it.

    Mosaic and MixUp bring every image into the frame anyway. Done while loading, copies are small and a cache of
    decoded images holds many more. An image is never enlarged. Without Mosaic an affine transform that enlarges would
    see fewer details: then use ``LoadPicture``.

    Args:
        img_scale: height and width of the frame in pixels.
        bit_depth: as for ``LoadPicture``.
    """

    def __init__(self, img_scale: tuple[int, int], bit_depth: int | None = None) -> None:
        super().__init__(bit_depth)
        self.frame_hw = tuple(img_scale)

    def reduced_hw(self, height: int, width: int) -> tuple[int, int]:
        """The size at which an image of this size is used."""
        scale = min(self.frame_hw[0] / height, self.frame_hw[1] / width, 1)
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def reduce_boxes(self, results: dict, size_hw: tuple[int, int]) -> None:
        """Scales the annotation's boxes, (N, 4) float32, of an image of ``size_hw`` as the image is scaled."""
        new_hw = self.reduced_hw(*size_hw)
        if new_hw == tuple(size_hw) or "ann_info" not in results:
            return
        factors = np.array([new_hw[1] / size_hw[1], new_hw[0] / size_hw[0]] * 2, dtype=np.float32)
        info = results["ann_info"]
        boxes = {key: info[key] * factors for key in ("bboxes", "bboxes_ignore") if key in info}
        results["ann_info"] = {**info, **boxes}

    def __call__(self, results: dict) -> dict:
        """Adds what ``LoadPicture`` adds; ``ori_shape`` stays the file's."""
        results = super().__call__(results)
        size_hw = results["img"].shape[:2]
        new_hw = self.reduced_hw(*size_hw)
        if new_hw != size_hw:
            results["img"] = mmcv.imresize(results["img"], new_hw[::-1])
            results["img_shape"] = results["img"].shape
            self.reduce_boxes(results, size_hw)
        return results
