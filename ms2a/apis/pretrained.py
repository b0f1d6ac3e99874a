"""The weights that a detector starts from: COCO's by its size, or a file or address that a user names."""

from dataclasses import dataclass
from pathlib import Path

from ms2a.apis.convert_yolox import convert_file, open_yolox
from ms2a.artefacts import file_sha256
from ms2a.defaults import DETECTORS
from ms2a.engine.checkpoint import check_size, read_checkpoint
from ms2a.engine.downloads import VARIABLE, cache_folder, fetched, weights_folder
from ms2a.engine.sizes import size_of_weights
from ms2a.errors import UserError

COCO, NONE = "coco", "none"
_MMDET = "https://download.openmmlab.com/mmdetection/v2.0/yolox"
_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
# Where published COCO weights lie: mmdet's, whose names end in the first digits of their SHA-256 (the addresses are
# those of mmdet 2.28.2's own metafile), and the YOLOX project's for the sizes that mmdet has none of.
PUBLISHED = {
    "nano": f"{_YOLOX}/yolox_nano.pth",
    "tiny": f"{_MMDET}/yolox_tiny_8x8_300e_coco/yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth",
    "s": f"{_MMDET}/yolox_s_8x8_300e_coco/yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth",
    "m": f"{_YOLOX}/yolox_m.pth",
    "l": f"{_MMDET}/yolox_l_8x8_300e_coco/yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth",
    "x": f"{_MMDET}/yolox_x_8x8_300e_coco/yolox_x_8x8_300e_coco_20211126_140254-1ef88d67.pth",
}


@dataclass(frozen=True)
class Start:
    """Where a base detector starts.

    Attributes:
        detector: its size, one of :data:`ms2a.defaults.DETECTORS`; None: the config's.
        weights: a checkpoint in mmdet's layout; None: random weights.
    """

    detector: str | None
    weights: Path | None


def find_start(detector: str | None, weights: str) -> Start:
    """The start that a size and a name of weights mean. Files with an address are downloaded, once.

    Args:
        detector: the size; None: what the weights are of, where they are a file or an address.
        weights: ``coco``, ``none``, a file or an http(s) address, in mmdet's or in the YOLOX project's layout.

    Raises:
        UserError: an unknown size, no COCO weights for it, weights that can't be had or read, or are of another size.
    """
    if detector is not None and detector not in DETECTORS:
        raise UserError(f"`detector={detector}`: expected one of {', '.join(DETECTORS)}")
    if weights == NONE:
        return Start(detector, None)
    if weights == COCO:
        if detector not in PUBLISHED:
            raise UserError(
                f"`weights=coco`: there are none for a detector of size {detector}; choose one of the sizes "
                f"{', '.join(PUBLISHED)}, or `weights=none`"
            )
        return Start(detector, coco_weights(detector))
    path = _in_mmdet_layout(fetched(weights, "weights") if "://" in weights else Path(weights))
    state = read_checkpoint(path, "weights")["state_dict"]
    check_size(state, detector, f"weights {path}")
    detector = detector or size_of_weights(state)
    if detector is None:
        raise UserError(f"weights {path} are of no known size; known: {', '.join(DETECTORS)}")
    return Start(detector, path)


def coco_weights(size: str) -> Path:
    """The COCO weights of a size in mmdet's layout, from ``MS2A_WEIGHTS``, the cache or the network.

    In the folder that ``MS2A_WEIGHTS`` names, ``yolox_<size>_coco_mmdet.pth`` comes before a file with the published
    name. What the YOLOX project publishes is converted into the cache.

    Args:
        size: one of :data:`PUBLISHED`.

    Raises:
        UserError: see :func:`ms2a.engine.downloads.fetched`, or the file holds something else.
    """
    folder = weights_folder()
    if folder and (ready := folder / f"yolox_{size}_coco_mmdet.pth").is_file():
        return ready
    path = _in_mmdet_layout(fetched(PUBLISHED[size], f"COCO weights of size {size}"))
    check_size(read_checkpoint(path, "weights")["state_dict"], size, f"weights {path}")
    return path


def _in_mmdet_layout(path: Path) -> Path:
    """The file itself, or, of one of the YOLOX project's, what it was converted to in the cache."""
    if path.suffix.lower() == ".onnx":
        raise UserError(f"weights {path}: convert them first: ms2a convert yolox {path} OUT.pth --images FOLDER")
    if not path.is_file():
        raise UserError(f"weights {path} do not exist; check the path, or name a folder of weights by {VARIABLE}")
    converted = cache_folder() / f"{path.stem}-{file_sha256(path)[:8]}_mmdet.pth"
    if not converted.is_file():
        if open_yolox(path, "weights") is None:
            return path
        convert_file(path, converted)
    return converted
