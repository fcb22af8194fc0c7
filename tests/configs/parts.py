"""Parts of the tiny configs: a ViT, drawn people, two epochs of three steps."""

tiny_vit = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=96)
tiny_people = dict(
    type='SyntheticPeople',
    num_identities=3,
    images_per_identity=8,
    size=(64, 32),
    keep=True,
)
in_process = dict(num_workers=0, persistent_workers=False)
tiny_optimizer = dict(type='OptimWrapper', optimizer=dict(lr=2e-2))
tiny_schedule = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=2),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=2, end=6),
]
