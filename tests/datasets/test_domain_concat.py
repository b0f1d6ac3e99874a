import json

import numpy as np
import pytest
from mmdet.datasets import build_dataset

from ms2a.errors import UserError
from tests.tiny import make_coco

PIPELINE = [dict(type="LoadImageFromFile")]
CLASSES = ("nut", "bolt")


@pytest.fixture
def config(tmp_path):
    children = []
    for domain, n_images in (("fog", 3), ("sun", 4)):
        ann_file = make_coco(tmp_path / domain, n_images=n_images, classes=CLASSES, seed=n_images)
        prefix = str(ann_file.parent / "images")
        children.append(
            dict(type="DomainCocoDataset", domain=domain, ann_file=str(ann_file), img_prefix=prefix, classes=CLASSES)
        )
    return dict(type="DomainConcatDataset", datasets=children, pipeline=PIPELINE)


def perfect_results(dataset, spoil=()) -> list:
    """Ground truth as detections; none in the data sets named in ``spoil``."""
    results = []
    for child in dataset.datasets:
        for index in range(len(child)):
            info = child.get_ann_info(index)
            scored = np.concatenate([info["bboxes"], np.ones((len(info["bboxes"]), 1))], axis=1).astype(np.float32)
            keep = [(info["labels"] == label) & (child.domain not in spoil) for label in range(len(CLASSES))]
            results.append([scored[mask] for mask in keep])
    return results


def test_scores_carry_the_domain_and_the_target_is_named(config, capsys):
    dataset = build_dataset(config, dict(test_mode=True))
    assert all(child.test_mode for child in dataset.datasets)
    assert dataset.target == "fog"
    scores = dataset.evaluate(perfect_results(dataset, spoil=("sun",)), metric="bbox", classwise=True)
    assert scores["fog_bbox_mAP"] == pytest.approx(1.0, abs=1e-3)
    assert scores["sun_bbox_mAP"] == 0.0
    assert next(iter(scores)).startswith("fog_")
    printed = capsys.readouterr().out
    assert "Target domain: fog" in printed
    assert "| category |" in printed


def test_domain_of_each_image(config):
    meta = dict(type="Collect", keys=["img"], meta_keys=("domain",))
    config["pipeline"] = [*PIPELINE, dict(type="DefaultFormatBundle"), meta]
    dataset = build_dataset(config, dict(test_mode=True))
    names = [dataset[index]["img_metas"].data["domain"] for index in range(len(dataset))]
    assert names == ["fog"] * 3 + ["sun"] * 4


def test_detections_are_kept_by_domain(config, tmp_path):
    dataset = build_dataset(config, dict(test_mode=True))
    results = perfect_results(dataset)
    dataset.evaluate(results, jsonfile_prefix=str(tmp_path / "out" / "detections"))
    for domain, part in dataset.split_results(results).items():
        found = json.loads((tmp_path / "out" / f"detections.{domain}.bbox.json").read_text())
        assert len(found) == sum(len(boxes) for result in part for boxes in result)


def test_own_pipeline_wins_over_the_shared_one(config):
    config["datasets"][1]["pipeline"] = [*PIPELINE, dict(type="Resize", img_scale=(20, 20))]
    dataset = build_dataset(config, dict(test_mode=True))
    assert dataset[0]["img"].shape == (64, 96, 3)
    assert max(dataset[3]["img"].shape) == 20


def test_class_lists_must_agree(config):
    config["datasets"][1]["classes"] = CLASSES[::-1]
    with pytest.raises(UserError, match=r"\['nut', 'bolt'\] in fog, \['bolt', 'nut'\] in sun"):
        build_dataset(config, dict(test_mode=True))


def test_two_data_sets_of_one_domain_are_refused(config):
    config["datasets"][1]["domain"] = "fog"
    with pytest.raises(UserError, match="two data sets of one domain"):
        build_dataset(config, dict(test_mode=True))
