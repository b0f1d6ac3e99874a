"""Source and target mixed; with every labelled image an unlabelled one of the target, in a weak and a strong view."""

_base_ = "./cross_domain.py"

data = dict(
    train=dict(
        type="SelfTrainingDataset",
        unlabelled=dict(img="${unlabelled_images.img}", domain="${target_domain}"),
        geometry=[
            dict(type="LoadPicture", bit_depth="${bit_depth}"),
            dict(type="RandomFlip", flip_ratio=0.5),
            dict(type="FitResize", img_scale="${img_scale}"),
            "${fixed_pad}",
        ],
        distortion=[
            dict(type="PhotoMetricDistortion"),
            dict(type="CutOut", n_holes=(1, 4), cutout_ratio=[(0.1, 0.1), (0.2, 0.1), (0.2, 0.2)]),
        ],
        finish=[
            dict(type="DefaultFormatBundle"),
            dict(type="Collect", keys=["img"], meta_keys="${meta_keys}"),
        ],
    )
)
