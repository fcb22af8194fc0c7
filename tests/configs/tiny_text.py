"""Text retrieval of few parameters, with nothing random but the order."""

_base_ = [
    '../../configs/downstream/text_retrieval/cuhk-pedes_saip-vit-tiny_384x128.py',
    'parts.py',
]

model = dict(
    backbone=dict(
        arch=dict(_base_.tiny_vit, _delete_=True),
        img_size=(64, 32),
        init_cfg=None,
    ),
    text=dict(width=64, num_layers=1, out_channels=64, init_cfg=None),
    num_classes=8,
    mlm=None,
)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 64)),
    *_base_.test_pipeline[2:],
]
train_dataloader = dict(
    batch_size=4, dataset=dict(pipeline=pipeline), **_base_.in_process
)
val_dataloader = dict(dataset=dict(pipeline=pipeline), **_base_.in_process)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
