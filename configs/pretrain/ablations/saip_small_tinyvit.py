"""saip_small.py with a small TinyViT (0.5 M parameters)."""

_base_ = ['../saip_small.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPTinyViT',
        arch=dict(
            channels=[16, 32, 64, 128], num_heads=[1, 1, 2, 4], depths=[1, 1, 3, 1]
        ),
        window_size=(7, 7, 8, 8),
        neck_channels=96,
        img_size=_base_.global_size,
    ),
    matching=dict(in_channels=96),
    reconstruction=dict(in_channels=128),
    search=dict(in_channels=128),
)
