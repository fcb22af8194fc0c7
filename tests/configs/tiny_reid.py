"""Re-identification of a few thousand parameters, with nothing random but the order."""

_base_ = [
    '../../configs/downstream/reid/market1501_saip-vit-tiny_256x128.py',
    'parts.py',
]

custom_imports = dict(imports=['saip_mm', 'saip_mm.downstream.reid', 'disturbances'])
model = dict(
    backbone=dict(
        arch=dict(_base_.tiny_vit, _delete_=True),
        img_size=(64, 32),
        init_cfg=None,
    ),
    head=dict(in_channels=24, num_classes=8),
)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 64)),
]
pack = _base_.test_pipeline[2]
market1501 = dict(data_root='data')
train_dataloader = dict(
    batch_size=4,
    sampler=dict(num_identities=2, num_images=2),
    dataset=dict(**market1501, pipeline=[*pipeline, dict(type='PackInputs')]),
    **_base_.in_process,
)
test_dataloader = dict(
    dataset=dict(**market1501, pipeline=[*pipeline, pack]), **_base_.in_process
)
val_dataloader = test_dataloader
train_cfg = dict(max_epochs=3, val_interval=1)
default_hooks = dict(logger=dict(interval=1))
