"""A HAP of a few thousand parameters, on drawn people with keypoints; for tests."""

_base_ = '../../configs/pretrain/hap_vit-tiny.py'

global_size = (64, 32)

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=24,
            num_layers=3,
            num_heads=3,
            feedforward_channels=96,
        ),
        img_size=global_size,
        patch_size=8,
        middle_block=2,
    ),
    decoder=dict(
        in_channels=24,
        embed_dims=32,
        num_blocks=2,
        num_heads=4,
        img_size=global_size,
        patch_size=8,
    ),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(
        _delete_=True,
        type='SyntheticPeople',
        num_identities=3,
        images_per_identity=8,
        size=(64, 32),
        keep=True,
        keypoints=True,
        pipeline=[
            dict(type='DrawMaskedView', size=global_size, patch_size=8),
            dict(type='ApplyMaskedView'),
        ],
    ),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=2e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=2),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=2, end=6),
]
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
