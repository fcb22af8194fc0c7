"""A DPAL of a few thousand parameters; for tests.

Set `model.teacher.checkpoint` to a SAIP of 48 channels.
"""

_base_ = '../../configs/pretrain/distillation/dpal_vit-tiny.py'

model = dict(
    backbone=dict(
        arch=dict(
            embed_dims=24, num_layers=3, num_heads=(3, 6), feedforward_channels=96
        ),
        img_size=(64, 32),
    ),
    teacher=dict(_delete_=True, type='DistillationTeacher', checkpoint='teacher.pth'),
    adapter=dict(in_channels=24, out_channels=48, num_heads=4, hidden_channels=16),
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
        scenes=dict(type='SyntheticScenes', num_scenes=8, size=(64, 64), keep=True),
        pipeline=[
            dict(
                type='DrawViews',
                global_size=(64, 32),
                local_size=(32, 32),
                scene_size=(64, 64),
                num_locals=1,
            ),
            dict(type='ApplyViews'),
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
