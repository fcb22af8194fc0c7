"""A HAP of a few thousand parameters, on drawn people with keypoints; for tests."""

_base_ = ['../../configs/pretrain/hap_vit-tiny.py', 'parts.py']

global_size = (64, 32)

model = dict(
    backbone=dict(
        arch=dict(_base_.tiny_vit, _delete_=True),
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
    **_base_.in_process,
    dataset=dict(
        **_base_.tiny_people,
        _delete_=True,
        keypoints=True,
        pipeline=[
            dict(type='DrawMaskedView', size=global_size, patch_size=8),
            dict(type='ApplyMaskedView'),
        ],
    ),
)
optim_wrapper = _base_.tiny_optimizer
param_scheduler = _base_.tiny_schedule
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
