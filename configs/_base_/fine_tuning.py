"""The packaged small ViT, and a short training, for configs in transfer/."""

small_vit = dict(embed_dims=96, num_layers=6, num_heads=3, feedforward_channels=384)
short_schedule = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30),
]
short_optimizer = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=3.0),
)
short_training = dict(type='IterBasedTrainLoop', max_iters=300)
short_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=300, max_keep_ckpts=1, save_best=None),
    logger=dict(interval=20),
)
sync_bn = 'torch'  # iterations end without the averages of SyncBuffersHook
