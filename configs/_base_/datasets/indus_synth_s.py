"""The source of the generated data set and its two targets.

A file per target beside this one adds what Stage II needs.
"""

data_roots = dict(indus_synth="data/indus_synth")
prepare_data = ["render", "--out", "${data_roots.indus_synth}"]  # the pipeline's first step: ms2a render
source_domain = "indus_synth_s"
classes = ("part",)
num_classes = len(classes)

source_train = dict(
    type="DomainCocoDataset",
    domain="indus_synth_s",
    classes="${classes}",
    data_root="${data_roots.indus_synth}",
    ann_file="s/train.json",
    img_prefix="s/images",
    filter_empty_gt=False,
    pipeline="${source_pipeline}",
)
source_val = dict(
    type="DomainCocoDataset",
    domain="indus_synth_s",
    classes="${classes}",
    data_root="${data_roots.indus_synth}",
    ann_file="s/val.json",
    img_prefix="s/images",
)
t1_test = dict(
    type="DomainCocoDataset",
    domain="indus_synth_t1",
    classes="${classes}",
    data_root="${data_roots.indus_synth}",
    ann_file="t1/test.json",
    img_prefix="t1/images",
)
t2_test = dict(
    type="DomainCocoDataset",
    domain="indus_synth_t2",
    classes="${classes}",
    data_root="${data_roots.indus_synth}",
    ann_file="t2/test.json",
    img_prefix="t2/images",
)
test_sets = ["${t1_test}", "${t2_test}", "${source_val}"]
