"""MS2A with vector prototypes; source features are pulled towards the target's memory too."""

_base_ = "./ms2a_vector.py"

benchmark = dict(title="MS2A, vectors + alignment to the memory")
model = dict(
    default_domain="${target_domain}",
    alignment=[
        dict(
            loss=dict(type="MMDLoss", loss_weight=0.5),
            to_memory=dict(channels="${channels}", num_prototypes="${num_prototypes}", files="${memory_files}"),
        )
    ],
)
