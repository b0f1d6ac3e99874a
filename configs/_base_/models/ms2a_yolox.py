"""The detector of Stage II: the plain one with the memory of two domains before its head and a foreground branch."""

_base_ = "./yolox.py"

# 'feature': windows of the feature ask the memory (the paper's figure).
# 'memory': the pooled memory asks the feature (the released weights): --cfg-options adapter_query=memory
adapter_query = "feature"
num_prototypes = 100
zero_init = False  # True: start exactly at the base detector instead of replacing its neck maps
# Alignment losses are off; on, for example: [dict(loss=dict(type="MMDLoss", loss_weight=0.1), on="adapted")]
alignment_losses = None
nms = dict(type="soft_nms", iou_threshold=0.5)

model = dict(
    default_domain="${target_domain}",
    adapter=dict(
        type="MemoryAdapter",
        channels="${channels}",
        query="${adapter_query}",
        num_layers=2,
        zero_init="${zero_init}",
        memory=dict(
            domains=["${source_domain}", "${target_domain}"],
            num_prototypes="${num_prototypes}",
            sizes_hw="${memory_sizes_hw}",
            files="${memory_files}",
        ),
    ),
    foreground=dict(
        type="ForegroundBranch",
        in_channels="${c5_channels}",
        loss=dict(type="DiceLoss", use_sigmoid=True, activate=True, loss_weight=2.0),
    ),
    alignment="${alignment_losses}",
)

# A batch without one of the domains leaves that domain's residuals without a gradient.
find_unused_parameters = True
