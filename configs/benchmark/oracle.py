"""Upper mark: joint, with all labels of the target's pool."""

_base_ = "./joint.py"

title = "oracle: all target labels"
kind = "bound"
target_train = dict(ann_file="${target_pool}")
all_target_labels = True  # tools/benchmark.py does the same for other tasks
