"""A COCO data set that knows the name of its domain and says clearly what is wrong with its files."""

import contextlib
import io
import logging
import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets import DATASETS, CocoDataset
from mmdet.datasets import coco as mmdet_coco
from mmdet.datasets.api_wrappers import COCO
from mmdet.datasets.pipelines import Compose

from ms2a.artefacts import read_text
from ms2a.datasets.annotations import order_categories, read_coco
from ms2a.datasets.check.sets import Options, check_set
from ms2a.datasets.evaluation import OneLimitEval, limits_for
from ms2a.datasets.fewshot import draw_subset
from ms2a.datasets.findings import log_findings, refuse_errors
from ms2a.datasets.load_picture import HIDDEN
from ms2a.datasets.readable import SkippedImages, is_readable, unreadable, why_not
from ms2a.datasets.sample import Sample
from ms2a.errors import UserError

logger = logging.getLogger("mmdet")


def _as_api(coco: dict[str, Any]) -> COCO:
    """What pycocotools makes of a file, of annotations that were read already: no file is read in two ways."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it does
        api = COCO()
        api.dataset = coco
        api.createIndex()
    api.img_ann_map, api.cat_img_map = api.imgToAnns, api.catToImgs  # mmdet's names for these
    return api


@DATASETS.register_module()
class DomainCocoDataset(CocoDataset):
    """mmdet's COCO data set with ``results["domain"]``; box-only annotations are enough.

    Annotations and the pictures' headers are checked while loading (:func:`~ms2a.datasets.check.sets.check_set`), for
    training and evaluation alike: what can be mended is mended, the rest is refused. Label i is ``classes[i]`` whatever
    the order of the file. In training an unreadable image is skipped with a warning and another is drawn in its place.

    Args:
        domain: name of the image distribution; it selects the memory that the detector reads.
        strict: stop at an unreadable training image instead of skipping it.
        num_images: use at most so many annotated images, see :func:`ms2a.datasets.fewshot.draw_subset`; None: all.
        split_seed: which draw of them.
        boxes_of: see :class:`ms2a.datasets.check.sets.Options`.
        box_form: see :class:`ms2a.datasets.check.sets.Options`.
        **kwargs: as in :class:`mmdet.datasets.CocoDataset`.

    Raises:
        UserError: annotation file missing, truncated or without one of the classes; image folder missing; no image
            left; in testing (always) or training (``strict``) an unreadable image.
    """

    def __init__(
        self,
        *args: Any,
        domain: str,
        strict: bool = False,
        num_images: int | None = None,
        split_seed: int = 0,
        boxes_of: str | None = None,
        box_form: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.domain = domain
        self.strict = strict
        self.num_images = num_images
        self.split_seed = split_seed
        steps = kwargs.get("pipeline") or (args[1] if len(args) > 1 else ())
        self._bit_depth = next((step["bit_depth"] for step in steps if step.get("bit_depth")), None)
        self._answers = dict(boxes_of=boxes_of, box_form=box_form)
        super().__init__(*args, **kwargs)
        self._skipped = SkippedImages(len(self))
        self._check_images()

    @classmethod
    def get_classes(cls, classes: Sequence[str] | str | None = None) -> Sequence[str]:
        """Class names from a list or from a text file with one name a line."""
        if isinstance(classes, str) and not osp.isfile(classes):
            raise UserError(
                f"classes={classes!r} is taken for a text file of class names, which does not exist; "
                f"for one class write classes=({classes!r}, )"
            )
        if isinstance(classes, str):
            return [line.strip() for line in read_text(classes, "list of classes").splitlines() if line.strip()]
        return super().get_classes(classes)

    def load_annotations(self, ann_file: str) -> list[dict]:
        """Checks and mends the file before mmdet loads it."""
        coco = read_coco(ann_file)
        if not coco["images"]:
            raise UserError(f"annotation file {ann_file} lists no images")
        order_categories(coco, self.CLASSES, ann_file)
        options = dict(is_test=self.test_mode, needs_boxes=False, bit_depth=self._bit_depth, **self._answers)
        checked = check_set(coco, self.img_prefix or "", Options(classes=self.CLASSES, **options), ann_file)
        log_findings([finding for finding in checked.findings if finding.severity != "error"], ann_file)
        refuse_errors(checked.findings, ann_file)
        if self.num_images is not None:
            coco = draw_subset(coco, self.CLASSES, self.num_images, self.split_seed)
        stock_api, mmdet_coco.COCO = mmdet_coco.COCO, lambda _: _as_api(coco)
        try:
            return super().load_annotations(ann_file)
        finally:
            mmdet_coco.COCO = stock_api

    def _check_images(self) -> None:
        if not len(self):
            raise UserError(
                f"annotation file {self.ann_file} has no usable image: none of its {len(self.coco.imgs)} images has a "
                f"box of the classes {list(self.CLASSES)}"
            )

    def _filter_imgs(self, min_size: int = 1) -> list[int]:
        """As in mmdet, but small pictures are trained on: they are enlarged like all others."""
        return super()._filter_imgs(min_size)

    def _image_path(self, index: int) -> str:
        return osp.join(self.img_prefix or "", self.data_infos[index]["filename"])

    def pre_pipeline(self, results: dict) -> None:
        """Lets the name of the domain travel with the image."""
        super().pre_pipeline(results)
        results["domain"] = self.domain

    def prepare_train_img(self, idx: int) -> dict | None:
        """One training image, or None where its file is unreadable; mmdet then draws another."""
        try:
            results = super().prepare_train_img(idx)
            return None if results is None else Sample(results)
        except Exception:
            if is_readable(self._image_path(idx)):
                raise
        self._skipped.skip(idx, self._image_path(idx), self.strict)
        if len(self._skipped) == len(self):
            raise self._unreadable(idx, " and so is every other image")
        return None

    def _rand_another(self, idx: int) -> int:
        """Any image; mmdet takes one of the same orientation, of which there may be no other."""
        return np.random.randint(len(self))

    def prepare_test_img(self, idx: int) -> dict:
        """One test image; in the place of one that can't be read a grey one, see :meth:`without_skipped`."""
        try:
            return super().prepare_test_img(idx)
        except Exception as error:
            why = why_not(self._image_path(idx), error)
            info = self.data_infos[idx]
            grey = np.full((info["height"], info["width"], 3), HIDDEN, np.uint8)
            names = dict(filename=self._image_path(idx), ori_filename=info["filename"])
            results = dict(img_info=info, img=grey, img_shape=grey.shape, ori_shape=grey.shape, img_fields=["img"])
            self.pre_pipeline(results)
            try:
                prepared = Compose(self.pipeline.transforms[1:])(results | names)
            except Exception:
                raise error from None  # it was not the picture's fault
        self._skipped.skip(idx, f"{why}, which counts as one without detections", self.strict)
        if len(self._skipped) == len(self):
            raise self._unreadable(idx, " and so is every other image")
        return prepared

    def without_skipped(self, results: Sequence[list]) -> list[list]:
        """The detections of all images; those of images that could not be read are none."""
        skipped = set(self._skipped)
        return [[boxes[:0] for boxes in result] if index in skipped else result for index, result in enumerate(results)]

    @property
    def skipped(self) -> SkippedImages:
        """The images that could not be read so far."""
        return self._skipped

    def _unreadable(self, index: int, more: str = "") -> UserError:
        return unreadable(f"{self._image_path(index)} of {self.ann_file}", more)

    def evaluate(self, results: list, *args: Any, **kwargs: Any) -> dict:
        """As in mmdet; the last of ``proposal_nums`` follows the number of detections, where it is not given."""
        results = self.without_skipped(results)
        if len(args) < 5:
            most = max((sum(map(len, result)) for result in results), default=0)
            kwargs.setdefault("proposal_nums", limits_for(most))
        return super().evaluate(results, *args, **kwargs)

    def evaluate_det_segm(self, results: list, *args: Any, **kwargs: Any) -> dict:
        """As in mmdet, but precisions have one limit, per-class rows their own class, and no detection scores 0."""
        # COCOeval sorts category ids, and mmdet's per-class table takes them to be in the order of the classes.
        in_class_order, self.cat_ids = self.cat_ids, sorted(self.cat_ids)
        stock_evaluation, mmdet_coco.COCOeval = mmdet_coco.COCOeval, OneLimitEval
        try:
            scores = super().evaluate_det_segm(results, *args, **kwargs)
        finally:
            self.cat_ids, mmdet_coco.COCOeval = in_class_order, stock_evaluation
        if not scores and not any(len(boxes) for result in results for boxes in result):
            scores = {f"bbox_mAP{which}": 0.0 for which in ("", "_50", "_75", "_s", "_m", "_l")}
        return scores
