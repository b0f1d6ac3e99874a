"""MS2A whose prototypes are feature vectors of foreground and background, asked by every location."""

_base_ = "./ms2a.py"

benchmark = dict(title="MS2A, vector prototypes", memories=dict(_delete_=True, vector="${num_prototypes}"))
prototype = "vector"
model = dict(
    adapter=dict(
        _delete_=True,
        type="VectorMemoryAdapter",
        channels="${channels}",
        memory=dict(
            domains=["${source_domain}", "${target_domain}"],
            num_prototypes="${num_prototypes}",
            files="${memory_files}",
        ),
    )
)
