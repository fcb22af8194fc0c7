"""ViT-Tiny with 6 heads, as a ViT-Small teacher has in its last block."""

distilled_arch = dict(
    embed_dims=192, num_layers=12, num_heads=6, feedforward_channels=768
)
