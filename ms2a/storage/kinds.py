"""What Stage I looks at in an image, one class for each kind of prototype.

Each takes a batch of images and returns what is offered to the samples: one :class:`Seen` for each file that will be
written. A new kind is a class here, a line in :data:`LOOKS`, and the endings of its files in
``ms2a.defaults.FILE_ENDINGS``; what reads it in Stage II, the memory adapter or an augmentation, is told by the config.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmcv import Config
from torch import Tensor, nn

from ms2a.defaults import FILE_ENDINGS
from ms2a.errors import UserError
from ms2a.models import foreground_mask
from ms2a.models.baselines.style import STYLE_LAYERS, channel_statistics
from ms2a.storage.image_batches import memory_pipeline

# A location is foreground where the base detector finds a box of at least this score.
FOREGROUND_SCORE = 0.3


@dataclass(frozen=True)
class Seen:
    """What the sample of one file is offered of a batch.

    Attributes:
        rows: for each level (B, R, h, w): R rows for k-means of each image, each h × w numbers.
        offered: for each level bool (B, R), which of them; None: all.
    """

    rows: Sequence[Tensor]
    offered: Sequence[Tensor] | None = None


class Maps:
    """The neck's maps, as the paper clusters them; the adapter, if the config has one, stands behind the neck.

    Args:
        model: the base detector; None where the kind needs none.
        dim: the neck's channels, checked if given.

    Attributes:
        endings: what the names of the files end in.
        needs_detector: whether there must be a model.
    """

    endings = FILE_ENDINGS["map"]
    needs_detector = True

    def __init__(self, model: nn.Module | None, dim: int | None = None) -> None:
        self.model = model
        self.dim = dim

    @staticmethod
    def pipeline(cfg: Config) -> list[dict]:
        """The transforms that images go through."""
        return memory_pipeline(cfg)

    def __call__(self, images: Tensor) -> list[Seen]:
        """(B, 3, H, W) → one item for each of the endings."""
        return [Seen(self._neck_maps(images))]

    def why_empty(self, ending: str) -> str:
        """What it means that no map was offered to a file's sample."""
        return "there was no image"

    def _neck_maps(self, images: Tensor) -> Sequence[Tensor]:
        maps = self.model.neck(self.model.backbone(images))
        channels = sorted({level.shape[1] for level in maps})
        if self.dim is not None and channels != [self.dim]:
            right = " and ".join(map(str, channels))
            raise UserError(
                f"`dim={self.dim}` is wrong: the neck of this config has {right} channels; use `dim={right}`"
            )
        return maps


class Vectors(Maps):
    """The feature vectors of single locations, those inside a box that the detector finds apart from the others."""

    endings = FILE_ENDINGS["vector"]

    def __call__(self, images: Tensor) -> list[Seen]:
        """Each location's vector is a map of size C × 1: (B, H·W, C, 1) at each level."""
        maps = self._neck_maps(images)
        boxes = found_boxes(self.model, maps, images.shape)
        vectors = [level.flatten(2).transpose(1, 2)[..., None] for level in maps]
        inside = [
            foreground_mask(boxes, level.shape[-2:], 8 * 2**number).flatten(1) > 0  # (B, H·W)
            for number, level in enumerate(maps)
        ]
        return [Seen(vectors, inside), Seen(vectors, [~level for level in inside])]

    def why_empty(self, ending: str) -> str:
        """The detector finds nothing, or boxes everywhere."""
        where = "no image" if ending == self.endings[0] else "every place"
        return f"the detector finds boxes of score {FOREGROUND_SCORE} or more in {where}; use `prototype='map'`"


class Styles(Maps):
    """The channel statistics of each image, see :class:`ms2a.models.baselines.StyleMemory`."""

    endings = FILE_ENDINGS["style"]

    def __call__(self, images: Tensor) -> list[Seen]:
        """For each style layer one map per image, (B, 1, 2, C): means and deviations of the channels."""
        feature, styles = images, []
        for layer in STYLE_LAYERS:
            feature = getattr(self.model.backbone, layer)(feature)
            styles.append(channel_statistics(feature)[:, None])
        return [Seen(styles)]


class Colours(Maps):
    """The colour quantiles of each image as it is stored, see :class:`ms2a.datasets.MemoryColour`."""

    endings = FILE_ENDINGS["colour"]
    needs_detector = False

    @staticmethod
    def pipeline(cfg: Config) -> list[dict]:
        """Reads the image and takes its quantiles."""
        return [dict(type="LoadPicture", bit_depth=cfg.get("bit_depth")), dict(type="ColourQuantiles")]

    def __call__(self, images: Tensor) -> list[Seen]:
        """The quantiles are one map per image."""
        return [Seen([images[:, None]])]


LOOKS = {"map": Maps, "vector": Vectors, "style": Styles, "colour": Colours}


def found_boxes(model: nn.Module, maps: Sequence[Tensor], shape: Sequence[int]) -> list[Tensor]:
    """What the detector finds in each image, (N, 4) in pixels of the image it sees.

    Args:
        model: the detector.
        maps: its neck maps of the batch.
        shape: of the batch, (B, 3, H, W).
    """
    metas = [dict(img_shape=tuple(shape[2:]), scale_factor=1.0)] * shape[0]
    found = model.bbox_head.get_bboxes(*model.bbox_head(maps), img_metas=metas, rescale=False)
    return [boxes[boxes[:, 4] >= FOREGROUND_SCORE, :4] for boxes, _ in found]
