"""An exported detector in int8, calibrated on pictures without annotations."""

import os
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from ms2a.apis.export import fold_constants, import_extra, write_about
from ms2a.artefacts import atomic_path
from ms2a.errors import UserError
from ms2a.runtime import ExportedDetector, ExportError

# Pictures that the ranges of values are taken from.
NUM_PICTURES = 300
# What stays in float32: the adaptation modules' nodes.
ADAPTATION = r".*levels\.\d.*"


def import_nncf() -> Any:
    """The package that quantises.

    Raises:
        UserError: it is not installed, or lacks something itself.
    """
    os.environ.setdefault("NNCF_CI", "1")  # else it reports its use to its makers
    return import_extra("nncf", "nncf openvino")


def quantise(file: str | os.PathLike, pictures: Sequence[str | os.PathLike], out: str | os.PathLike) -> None:
    """Writes the int8 form of an exported detector; whether it is good enough is for a test set to say.

    Args:
        file: an .onnx file of :func:`ms2a.apis.export.export_onnx` with ``raw=True``: quantised boxes and scores are
            worthless, so decoding stays outside.
        pictures: files of the domain whose memory is the file's default, such as those of the unlabelled folder; at
            most :data:`NUM_PICTURES` of them, evenly spread, are used.
        out: the file to write; :mod:`ms2a.runtime` runs it as any other.

    Raises:
        UserError: nncf is not installed, or the file holds no raw maps or can't be read.
    """
    nncf = import_nncf()
    onnx = import_extra("onnx")
    try:
        detector = ExportedDetector(file, "onnxruntime")
    except ExportError as error:
        raise UserError(str(error)) from None
    if not detector.about["raw"]:
        raise UserError(f"{file} decodes boxes, which int8 would spoil; export it with `raw`")
    chosen = [pictures[i] for i in np.unique(np.linspace(0, len(pictures) - 1, NUM_PICTURES).astype(int))]

    def inputs(path: Any) -> dict[str, np.ndarray]:
        image, _ = detector.prepare(path)
        return detector.inputs(image[None], [None])

    about = detector.about | dict(precision="int8", num_calibrated=len(chosen))
    with atomic_path(out) as temporary:
        shutil.copyfile(file, temporary)
        fold_constants(temporary)  # nncf knows constants as initialisers only
        quantised = nncf.quantize(
            onnx.load(str(temporary)),
            nncf.Dataset(chosen, inputs),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(chosen),
            # Attention has no scaling: its logits need more than 8 bits. ONNX Runtime refuses keys in int8 besides.
            ignored_scope=nncf.IgnoredScope(patterns=[ADAPTATION], validate=False),
        )
        onnx.save(quantised, str(temporary))
        write_about(onnx, temporary, about)
