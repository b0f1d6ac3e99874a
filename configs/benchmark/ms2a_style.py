"""MS2A that starts at the base detector, with source features in the styles of the target's memory."""

_base_ = "./ms2a_zero_init.py"

benchmark = dict(title="MS2A, zero init + memory style", memories=dict(style="${num_styles}"))
num_styles = 20
style_domain = "${target_domain}"
style_file = None  # MEMORY_DIR/DOMAIN_style_cluster.pth
model = dict(
    style=dict(
        type="StyleMemory",
        domain="${target_domain}",
        channels=(16, 32),
        num_styles="${num_styles}",
        file="${style_file}",
    )
)
