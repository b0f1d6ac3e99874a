"""Control of ``joint_adabn``: half of the statistics are those of the source's training images."""

_base_ = "./joint_adabn.py"

benchmark = dict(title="joint, half of the source's statistics", kind="control")
norm_images = "${source_train.img_prefix}"
