"""MMPretrain's MAE, which takes only squares, with the size of saip_small.py."""

_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py'
custom_imports = dict(imports=['saip_mm'], allow_failed_imports=False)
arch = dict(embed_dims=96, num_layers=6, num_heads=3, feedforward_channels=384)
decoder = dict(decoder_embed_dim=128, decoder_depth=2, decoder_num_heads=4)
model = dict(
    backbone=dict(arch=dict(_delete_=True, **arch), img_size=96),
    neck=dict(num_patches=36, embed_dim=96, **decoder),
)
load, crop, flip, pack = _base_.train_pipeline
crop.update(scale=(96, 96), crop_ratio_range=(0.5, 1.0), aspect_ratio_range=(0.4, 0.6))
pipeline = [dict(type='LoadPersonImage'), crop, flip, pack]
people = dict(type='PersonImages', data_root='data/people', pipeline=pipeline)
train_dataloader = dict(
    batch_size=64, num_workers=2, dataset=dict(_delete_=True, **people)
)
train_dataloader.update(sampler=dict(type='StatelessSampler'), drop_last=True)
optimizer = dict(type='AdamW', lr=1.5e-3, betas=(0.9, 0.95), weight_decay=0.05)
wrapper = dict(optimizer=optimizer, paramwise_cfg=_base_.optim_wrapper.paramwise_cfg)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', **wrapper)
cosine = dict(type='CosineAnnealingLR', begin=0.5, convert_to_iter_based=True)
param_scheduler = [dict(_base_.param_scheduler[0], end=0.5), cosine]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=5)
randomness = dict(diff_rank_seed=False)  # views differ between processes anyway
guards = dict(quarantine=dict(type='QuarantineHook'), finite=dict(type='FiniteGuard'))
default_hooks = dict(checkpoint=dict(interval=1), **guards)
