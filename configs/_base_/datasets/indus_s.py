"""The source of the industrial data set and its two targets. Where the files come from: docs/data.md.

A file per target beside this one adds what Stage II needs.
"""

data_roots = dict(indus="data/indus")
source_domain = "indus_s"
classes = ("part",)
num_classes = len(classes)

source_train = dict(
    type="DomainCocoDataset",
    domain="indus_s",
    classes="${classes}",
    data_root="${data_roots.indus}",
    ann_file="S/annotations/train.json",
    img_prefix="S/images",
    filter_empty_gt=False,
    pipeline="${source_pipeline}",
)
source_val = dict(
    type="DomainCocoDataset",
    domain="indus_s",
    classes="${classes}",
    data_root="${data_roots.indus}",
    ann_file="S/annotations/val.json",
    img_prefix="S/images",
)
t1_test = dict(
    type="DomainCocoDataset",
    domain="indus_t1",
    classes="${classes}",
    data_root="${data_roots.indus}",
    ann_file="T1/annotations/test.json",
    img_prefix="T1/images",
)
t2_test = dict(
    type="DomainCocoDataset",
    domain="indus_t2",
    classes="${classes}",
    data_root="${data_roots.indus}",
    ann_file="T2/annotations/test.json",
    img_prefix="T2/images",
)
test_sets = ["${t1_test}", "${t2_test}", "${source_val}"]
