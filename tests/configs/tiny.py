"""A SAIP of a few thousand parameters, of everything one; for tests."""

_base_ = ['../../configs/pretrain/saip_vit-tiny.py', 'parts.py']

global_size = (64, 32)
local_size = (32, 16)
scene_size = (64, 48)

model = dict(
    backbone=dict(
        arch=dict(_base_.tiny_vit, _delete_=True, num_layers=4),
        img_size=global_size,
        middle_block=1,
    ),
    matching=dict(
        in_channels=24, hidden_channels=32, bottleneck_channels=16, out_channels=64
    ),
    reconstruction=dict(
        in_channels=24, embed_dims=32, num_blocks=2, num_heads=4, img_size=global_size
    ),
    search=dict(in_channels=24, embed_dims=32, num_blocks=1, num_heads=4),
)
train_dataloader = dict(
    batch_size=8,
    **_base_.in_process,
    dataset=dict(
        **_base_.tiny_people,
        _delete_=True,
        scenes=dict(type='SyntheticScenes', num_scenes=8, size=scene_size, keep=True),
        pipeline=[
            dict(
                type='DrawViews',
                global_size=global_size,
                local_size=local_size,
                scene_size=scene_size,
                num_locals=2,
            ),
            dict(type='ApplyViews'),
        ],
    ),
)
optim_wrapper = _base_.tiny_optimizer
param_scheduler = _base_.tiny_schedule
train_cfg = dict(max_epochs=2)
default_hooks = dict(
    saip=dict(base_batch_size=None),
    logger=dict(interval=1),
)
