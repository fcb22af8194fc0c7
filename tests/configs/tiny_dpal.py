"""A DPAL of a few thousand parameters; for tests.

Set `model.teacher.checkpoint` to a SAIP of 48 channels.
"""

_base_ = ['../../configs/pretrain/distillation/dpal_vit-tiny.py', 'parts.py']

model = dict(
    backbone=dict(
        arch=dict(_base_.tiny_vit, num_heads=(3, 6)),
        img_size=(64, 32),
    ),
    teacher=dict(_delete_=True, type='DistillationTeacher', checkpoint='teacher.pth'),
    adapter=dict(in_channels=24, out_channels=48, num_heads=4, hidden_channels=16),
)
train_dataloader = dict(
    batch_size=8,
    **_base_.in_process,
    dataset=dict(
        **_base_.tiny_people,
        _delete_=True,
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
optim_wrapper = _base_.tiny_optimizer
param_scheduler = _base_.tiny_schedule
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
