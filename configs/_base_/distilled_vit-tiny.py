"""ViT-Tiny with as many heads in the last block as a ViT-Small teacher has."""

distilled_arch = dict(
    embed_dims=192, num_layers=12, num_heads=(3, 6), feedforward_channels=768
)
