"""MMPretrain's MoCo v3 (arXiv 2104.02057) with the backbone of saip_small.py."""

_base_ = 'mmpretrain::mocov3/mocov3_vit-small-p16_16xb256-amp-coslr-300e_in1k.py'
custom_imports = dict(imports=['saip_mm'], allow_failed_imports=False)
arch = dict(embed_dims=96, num_layers=6, num_heads=3, feedforward_channels=384)
vit = dict(type='SAIPViT', arch=arch, img_size=(128, 64), out_type='cls_token')
narrow = dict(hid_channels=512, out_channels=64)
model = dict(
    backbone=dict(_delete_=True, **vit),
    neck=dict(in_channels=96, **narrow),
    head=dict(predictor=dict(in_channels=64, **narrow)),
)
load, views, pack = _base_.train_pipeline
for steps in views['transforms']:
    steps[0].update(scale=(128, 64), aspect_ratio_range=(0.4, 0.6))
pipeline = [dict(type='LoadPersonImage'), views, pack]
people = dict(type='PersonImages', data_root='data/people', pipeline=pipeline)
train_dataloader = dict(
    batch_size=64, num_workers=2, dataset=dict(_delete_=True, **people)
)
train_dataloader.update(sampler=dict(type='StatelessSampler'), drop_last=True)
optimizer = dict(type='AdamW', lr=5e-4, weight_decay=0.05)
optim_wrapper = dict(_delete_=True, type='BFloat16OptimWrapper', optimizer=optimizer)
cosine = dict(type='CosineAnnealingLR', begin=0.5, convert_to_iter_based=True)
param_scheduler = [dict(_base_.param_scheduler[0], end=0.5), cosine]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=5)
guards = dict(quarantine=dict(type='QuarantineHook'), finite=dict(type='FiniteGuard'))
default_hooks = dict(checkpoint=dict(interval=1), **guards)
