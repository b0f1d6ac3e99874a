"""Runs an exported detector without torch, mmcv and mmdet: ``python -m ms2a.runtime DETECTOR.onnx IMAGE...``.

Needs NumPy, OpenCV and one of OpenVINO and ONNX Runtime; a file that was exported for OpenCV runs in OpenCV alone. The
folder imports nothing else of MS2A and may be copied to where the detector is used: ``python -m runtime DETECTOR.onnx
IMAGE...``.
"""

from .about import ExportError, read_about
from .detector import ExportedDetector, Found
from .engines import ENGINES, PRECISIONS

__all__ = ["ENGINES", "PRECISIONS", "ExportError", "ExportedDetector", "Found", "read_about"]
