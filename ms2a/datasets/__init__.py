"""Datasets, transforms and few-annotation splits, in mmdet's registries."""

from ms2a.datasets.cross_domain_mix import CrossDomainMixDataset
from ms2a.datasets.domain_coco import DomainCocoDataset
from ms2a.datasets.domain_concat import DomainConcatDataset
from ms2a.datasets.fewshot import nested_splits
from ms2a.datasets.formats import read_annotations
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.datasets.load_picture import LoadPicture
from ms2a.datasets.loading import LoadReducedImage
from ms2a.datasets.memory_colour import ColourQuantiles, MemoryColour
from ms2a.datasets.paste_objects import PasteObjects
from ms2a.datasets.transforms import CrossDomainCopyPaste, FitResize, HSVShift, SameDomainMosaic

__all__ = [
    "ColourQuantiles",
    "CrossDomainCopyPaste",
    "CrossDomainMixDataset",
    "DomainCocoDataset",
    "DomainConcatDataset",
    "FitResize",
    "HSVShift",
    "LoadReducedImage",
    "ImageFolderDataset",
    "LoadPicture",
    "MemoryColour",
    "PasteObjects",
    "SameDomainMosaic",
    "nested_splits",
    "read_annotations",
]
