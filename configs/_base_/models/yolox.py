"""The plain detector of the base training, without memory. Its size comes from size_*.py, its input from input_*.py."""

nms = dict(type="nms", iou_threshold=0.6)
# mmdet's default "Swish" is the same function in two steps; in place it would first copy what the backward pass needs.
activation = dict(type="SiLU", inplace=False)
max_per_img = 100  # detections kept of a picture; more where pictures hold more objects

model = dict(
    type="MS2AYOLOX",
    input_size="${img_scale}",
    random_size_range="${random_size_range}",
    random_size_interval=10,
    backbone=dict(
        type="CSPDarknet",
        deepen_factor="${deepen_factor}",
        widen_factor="${widen_factor}",
        use_depthwise="${use_depthwise}",
        act_cfg="${activation}",
    ),
    neck=dict(
        type="YOLOXPAFPN",
        in_channels="${neck_in_channels}",
        out_channels="${channels}",
        num_csp_blocks="${num_csp_blocks}",
        use_depthwise="${use_depthwise}",
        act_cfg="${activation}",
    ),
    bbox_head=dict(
        type="MS2AYOLOXHead",
        num_classes="${num_classes}",
        in_channels="${channels}",
        feat_channels="${channels}",
        use_depthwise="${use_depthwise}",
        act_cfg="${activation}",
        loss_cls=dict(type="VarifocalLoss", reduction="sum", loss_weight=1.0),
        loss_obj=dict(type="VarifocalLoss", reduction="sum", loss_weight=1.0),
        loss_bbox=dict(type="CIoULoss", reduction="sum", loss_weight=2.0),
        loss_l1=dict(type="SmoothL1Loss", reduction="sum", loss_weight=1.0),
    ),
    train_cfg=dict(assigner=dict(type="SimOTAAssigner", center_radius=2.5)),
    test_cfg=dict(score_thr=0.01, nms="${nms}", max_per_img="${max_per_img}"),
)
