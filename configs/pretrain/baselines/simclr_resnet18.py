"""MMPretrain's SimCLR (arXiv 2002.05709) with a ResNet-18, on images of 128x64."""

_base_ = 'mmpretrain::simclr/simclr_resnet50_8xb32-coslr-200e_in1k.py'
custom_imports = dict(imports=['saip_mm'], allow_failed_imports=False)
model = dict(
    backbone=dict(depth=18, norm_cfg=dict(type='BN')),
    neck=dict(in_channels=512, hid_channels=512),
)
load, views, pack = _base_.train_pipeline
views['transforms'][0][0].update(scale=(128, 64), aspect_ratio_range=(0.4, 0.6))
pipeline = [dict(type='LoadPersonImage'), views, pack]
people = dict(type='PersonImages', data_root='data/people', pipeline=pipeline)
train_dataloader = dict(
    batch_size=64, num_workers=2, dataset=dict(_delete_=True, **people)
)
train_dataloader.update(sampler=dict(type='StatelessSampler'), drop_last=True)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05),
)
cosine = dict(type='CosineAnnealingLR', begin=0.5, convert_to_iter_based=True)
param_scheduler = [dict(_base_.param_scheduler[0], end=0.5), cosine]
train_cfg = dict(_delete_=True, type='AccumulatingTrainLoop', max_epochs=5)
guards = dict(quarantine=dict(type='QuarantineHook'), finite=dict(type='FiniteGuard'))
default_hooks = dict(checkpoint=dict(interval=1), **guards)
