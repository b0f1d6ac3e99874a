"""Upper mark: joint, with all labels of the target's pool."""

_base_ = "./joint.py"

benchmark = dict(title="oracle: all target labels", kind="bound", all_target_labels=True)
target_train = dict(ann_file="${target_pool}")
