"""Pretrain the paper's ViT-Tiny for a few steps, for tests/fine_tune_real.py.

The weights are hardly trained, but are exported as those of real models.
"""

_base_ = '../../configs/pretrain/saip_demo.py'

model = dict(
    backbone=dict(arch='deit-tiny', middle_block=6),
    matching=dict(in_channels=192),
    reconstruction=dict(in_channels=192),
    search=dict(in_channels=192),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(num_identities=16, images_per_identity=4),
)
optim_wrapper = dict(optimizer=dict(lr=8e-3))
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
